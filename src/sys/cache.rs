//! A hint to the processor's cache.

/// What lies there will be written soon: its line is fetched meanwhile, for this core alone. Changes nothing.
#[inline(always)]
pub fn will_write<T>(at: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        let at = std::ptr::from_ref(at);
        // SAFETY: a hint, which reads and writes nothing and never faults; processors that do not know it do nothing.
        unsafe {
            std::arch::asm!("prefetchw [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
