//! A list that mostly has one element, or none: it then takes no memory of its own.

use std::ops::Deref;
use std::slice;

#[derive(Debug)]
pub enum Few<T> {
    One(T),
    /// None, or several.
    Others(Option<Box<Several<T>>>),
}

/// One word in the list; its length is kept with the elements.
#[derive(Debug)]
pub struct Several<T>(Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few::Others(None)
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Few::One(one) => slice::from_ref(one),
            Few::Others(None) => &[],
            Few::Others(Some(several)) => &several.0,
        }
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut all: Vec<T>) -> Self {
        match all.len() {
            0 => Few::default(),
            1 => all.pop().map_or_else(Few::default, Few::One),
            _ => Few::Others(Some(Box::new(Several(all)))),
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut few = Few::default();
        all.into_iter().for_each(|one| few.push(one));
        few
    }
}

impl<T> Few<T> {
    pub fn push(&mut self, one: T) {
        match self {
            Few::Others(None) => *self = Few::One(one),
            Few::Others(Some(several)) => several.0.push(one),
            Few::One(_) => {
                let mut all = self.take();
                all.push(one);
                *self = Few::from(all);
            }
        }
    }

    pub fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
        match self {
            Few::Others(None) => {}
            Few::One(one) if is_kept(one) => {}
            Few::One(_) => *self = Few::default(),
            Few::Others(Some(_)) => {
                let mut all = self.take();
                all.retain(is_kept);
                *self = Few::from(all);
            }
        }
    }

    fn take(&mut self) -> Vec<T> {
        match std::mem::take(self) {
            Few::One(one) => vec![one],
            Few::Others(several) => several.map_or_else(Vec::new, |several| several.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Few;

    #[test]
    fn few_is_a_list() {
        let mut few: Few<u32> = Few::default();
        assert!(few.is_empty());
        few.retain(|_| false);
        few.push(1);
        assert_eq!((few.len(), few.first()), (1, Some(&1)));
        few.push(2);
        few.push(3);
        assert_eq!(&*few, [1, 2, 3]);
        few.retain(|one| *one != 2);
        assert_eq!(&*few, [1, 3]);
        few.retain(|one| *one == 3);
        assert!(matches!(few, Few::One(3)));
        few.retain(|_| false);
        assert!(matches!(few, Few::Others(None)));
        assert_eq!(&*Few::from_iter([4, 5]), [4, 5]);
    }
}
