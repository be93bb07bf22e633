//! The layers: who may ask. A name, once met, keeps its number for the life of the lock, so that numbers
//! can be handed around instead of names.

use crate::name::ShortText;
use crate::table::layout::{LAYERS, LayerRow, LayerRows};

/// The layers a controller has today; what `layers` is when nobody configures it.
pub const DEFAULT_LAYERS: [&str; 5] =
    ["e2e-executor", "window-monitor", "chain-loop-monitor", "chain-keyword-monitor", "test-layer"];

/// The last row counts everybody who came after the table was full.
pub const OTHERS: usize = LAYERS - 1;

/// A layer as a request carries it.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    pub name: ShortText,
    /// Its row in the table; several latecomers share the last one.
    pub row: usize,
}

#[derive(Debug)]
pub struct Layers {
    /// At most [`OTHERS`] of them; the place is the number.
    pub(super) met: Vec<(ShortText, bool)>,
    /// Listed layers beyond the table.
    pub(super) unnumbered: Vec<ShortText>,
    pub(super) any: bool,
}

/// The most layers a list may name.
pub const MOST_LISTED: usize = 1_000;

impl Layers {
    pub fn new() -> Self {
        let mut layers = Self { met: Vec::new(), unnumbered: Vec::new(), any: false };
        layers.allow(&DEFAULT_LAYERS.map(ShortText::cut));
        layers
    }

    /// Exactly these from now on.
    pub fn allow(&mut self, names: &[ShortText]) {
        self.any = false;
        self.unnumbered.clear();
        for layer in &mut self.met {
            layer.1 = false;
        }
        for name in names {
            match self.number_of(name) {
                Some(number) => self.met[number].1 = true,
                None if self.met.len() < OTHERS => self.met.push((*name, true)),
                None => self.unnumbered.push(*name),
            }
        }
    }

    /// The list with a change; whether everybody may ask stays as it was.
    pub fn edit(&mut self, change: impl FnOnce(&mut Vec<ShortText>)) {
        let (any, mut names) = (self.any, self.listed());
        change(&mut names);
        self.allow(&names);
        self.any = any;
    }

    /// Everybody from now on.
    pub fn allow_any(&mut self) {
        self.any = true;
    }

    pub fn any(&self) -> bool {
        self.any
    }

    /// The listed names, in the order in which they were met.
    pub fn listed(&self) -> Vec<ShortText> {
        let numbered = self.met.iter().filter(|(_, allowed)| *allowed).map(|(name, _)| *name);
        numbered.chain(self.unnumbered.iter().copied()).collect()
    }

    /// The number of a name that has one, for good.
    #[inline]
    pub fn number_of(&self, name: &ShortText) -> Option<usize> {
        self.met.iter().position(|(met, _)| met == name)
    }

    /// The name with that number.
    pub fn name_of(&self, row: usize) -> Option<ShortText> {
        self.met.get(row).map(|(name, _)| *name)
    }

    /// The layer with that number, if it may ask. Only a layer with a row of its own has one.
    #[inline]
    pub fn numbered(&self, row: usize) -> Option<Layer> {
        let (name, allowed) = self.met.get(row)?;
        (self.any || *allowed).then_some(Layer { name: *name, row })
    }

    /// Whether a layer of that name may ask; leaves no trace.
    pub fn allows(&self, name: &ShortText) -> bool {
        let listed = self.number_of(name).map_or_else(|| self.unnumbered.contains(name), |at| self.met[at].1);
        self.any || listed
    }

    /// The layer of that name, if it may ask.
    #[inline]
    pub fn find(&mut self, name: &ShortText) -> Option<Layer> {
        let layer = |row| Some(Layer { name: *name, row });
        match self.number_of(name) {
            Some(number) if self.any || self.met[number].1 => layer(number),
            Some(_) => None,
            None if !self.any && !self.unnumbered.contains(name) => None,
            None if self.met.len() < OTHERS => {
                self.met.push((*name, false));
                layer(self.met.len() - 1)
            }
            None => layer(OTHERS),
        }
    }

    /// Writes the names into the table, and returns how many rows are in use.
    pub fn publish(&self, rows: &LayerRows) -> u64 {
        for (row, (name, _)) in rows.0.iter().zip(&self.met) {
            row.name.set(name);
        }
        if self.met.len() == OTHERS {
            rows.0[OTHERS].name.set(&ShortText::cut("(others)"));
            return LAYERS as u64;
        }
        self.met.len() as u64
    }
}

impl Default for Layers {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets a layer's counts to zero.
pub fn clear(row: &LayerRow) {
    for field in [&row.acquisitions, &row.releases, &row.blocked, &row.forced] {
        field.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ShortText {
        ShortText::name(text).unwrap()
    }

    #[test]
    fn a_list_refuses_what_it_does_not_name() {
        let mut layers = Layers::new();
        assert!(layers.find(&name("e2e-executor")).is_some());
        assert!(layers.find(&name("stranger")).is_none());
        layers.allow(&[name("stranger")]);
        assert!(layers.find(&name("e2e-executor")).is_none());
        assert_eq!(layers.find(&name("stranger")).unwrap().row, 5, "numbers are never given again");
        assert_eq!(layers.listed(), [name("stranger")]);
    }

    #[test]
    fn any_number_of_layers_keep_their_names() {
        let mut layers = Layers::new();
        layers.allow_any();
        for n in 0..500 {
            let layer = layers.find(&name(&format!("layer-{n}"))).unwrap();
            assert_eq!(layer.name, name(&format!("layer-{n}")));
            assert!(layer.row < LAYERS);
        }
        assert!(layers.met.len() <= OTHERS, "memory stays bounded");
        let many: Vec<ShortText> = (0..200).map(|n| name(&format!("listed-{n}"))).collect();
        layers.allow(&many);
        assert!(many.iter().all(|listed| layers.find(listed).is_some()));
        assert!(layers.find(&name("layer-1")).is_none());
    }
}
