//! The dependency descriptor, appendix A of the AV1 RTP payload specification.
//!
//! A key frame brings templates: for each kind of frame its layer, the frames it refers to, and
//! for each decode target (a layer that somebody may want to see) whether it needs such a frame.
//! Every later packet only names its template. So the reader keeps the templates, and works out
//! once per template what a selector asks: does layer (spatial, temporal) need it, and can one
//! switch to that layer here?

use crate::{Layer, Spatial, Temporal};

use super::Size;
use super::bits::Bits;

const TEMPORALS: usize = 8;
/// Template ids have six bits.
const MAX_TEMPLATES: usize = 64;
/// `dt_cnt_minus_one` has five bits.
const MAX_TARGETS: usize = 32;

/// Which layers need a frame, and to which one can switch at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// The frame number.
    pub frame_number: u16,
    /// The frames that it refers to.
    pub references: References,
    masks: Masks,
}

impl Targets {
    /// Whether somebody who is shown this layer needs the frame.
    pub fn needed(&self, layer: Layer) -> bool {
        self.masks.needed[layer.spatial.index()] & bit(layer.temporal) != 0
    }

    /// Whether somebody who can decode this frame can go on with this layer, whatever it was
    /// before.
    pub fn switch(&self, layer: Layer) -> bool {
        self.masks.switch[layer.spatial.index()] & bit(layer.temporal) != 0
    }
}

/// The frames that a frame refers to, by distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct References {
    /// How many there are; may be more than there are distances below.
    count: u8,
    distances: [u16; References::MAX],
}

impl References {
    /// An AV1 frame refers to seven others at most.
    const MAX: usize = 7;

    /// None: the frame can be decoded by itself.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether all of them fulfil a condition on their distance, 1 being the frame before. False
    /// if there are more than any decoder has.
    pub fn all(&self, condition: impl FnMut(u16) -> bool) -> bool {
        let distances = self.distances.get(..usize::from(self.count));
        distances.is_some_and(|distances| distances.iter().copied().all(condition))
    }

    fn push(&mut self, distance: u16) {
        if let Some(place) = self.distances.get_mut(usize::from(self.count)) {
            *place = distance;
        }
        self.count = self.count.saturating_add(1);
    }
}

/// A bit for each temporal layer, a byte for each spatial one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Masks {
    needed: [u8; Spatial::COUNT],
    switch: [u8; Spatial::COUNT],
}

impl Masks {
    /// Of a frame about which nothing is known: everybody may need it.
    const UNKNOWN: Masks = Masks {
        needed: [0xff; Spatial::COUNT],
        switch: [0; Spatial::COUNT],
    };
}

fn bit(temporal: Temporal) -> u8 {
    1 << temporal.id()
}

/// One dependency descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// First packet of the frame.
    pub frame_start: bool,
    /// Last packet of the frame.
    pub frame_end: bool,
    /// The frame refers to no other, and brings templates: decoding can begin here.
    pub key_frame: bool,
    /// The frame's spatial layer, of which all above 2 count as 2.
    pub spatial: Spatial,
    /// The frame's temporal layer.
    pub temporal: Temporal,
    /// Which layers need it.
    pub targets: Targets,
    /// False if the templates are missing: then the layer is unknown, and everybody needs it.
    pub known: bool,
    /// The size of the frame.
    pub size: Option<Size>,
}

/// Reads the dependency descriptors of one encoding. Keeps one set of templates.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    structure: Option<Box<Structure>>,
}

impl Reader {
    /// No templates yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one header extension. `None` if it is cut off or contradicts itself; the templates
    /// then stay as they were.
    pub fn read(&mut self, data: &[u8]) -> Option<Dependency> {
        let mut bits = Bits::new(data);
        let frame_start = bits.bit()?;
        let frame_end = bits.bit()?;
        let template_id = bits.take(6)?;
        let frame_number = bits.take(16)? as u16;
        let (flags, fresh) = match data.len() > 3 {
            true => self.extended(&mut bits)?,
            false => Default::default(),
        };
        let unknown = Dependency {
            frame_start,
            frame_end,
            key_frame: false,
            spatial: Spatial::LOW,
            temporal: Temporal::BASE,
            targets: Targets {
                frame_number,
                references: References::default(),
                masks: Masks::UNKNOWN,
            },
            known: false,
            size: None,
        };
        let read = match fresh.as_deref().or(self.structure.as_deref()) {
            Some(structure) => structure.explain(template_id, flags, unknown, &mut bits)?,
            None => unknown,
        };
        if fresh.is_some() {
            self.structure = fresh;
        }
        Some(read)
    }

    /// `extended_descriptor_fields()`, and the templates from now on if they are not those that
    /// were.
    fn extended(&self, bits: &mut Bits<'_>) -> Option<(Flags, Option<Box<Structure>>)> {
        let [
            new_structure,
            active_targets,
            custom_targets,
            custom_references,
            _chains,
        ] = [
            bits.bit()?,
            bits.bit()?,
            bits.bit()?,
            bits.bit()?,
            bits.bit()?,
        ];
        let flags = Flags {
            new_structure,
            custom_targets,
            custom_references,
        };
        let mut fresh = match new_structure {
            true => Some(Box::new(Structure::read(bits)?)),
            false => None,
        };
        let Some(known) = fresh.as_deref().or(self.structure.as_deref()) else {
            // How long the mask is, is unknown, so is what follows it; nothing is lost by
            // stopping here, because without templates nothing of it can be used.
            return Some((flags, None));
        };
        if active_targets {
            let active = bits.take(known.layers.len() as u32)?;
            if active != known.active {
                let mut structure = Box::new(known.clone());
                structure.active = active;
                structure.prepare();
                fresh = Some(structure);
            }
        }
        Some((flags, fresh))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    new_structure: bool,
    custom_targets: bool,
    custom_references: bool,
}

/// Decode target indications, two bits each.
const NOT_PRESENT: u8 = 0;
const SWITCH: u8 = 2;

type Indications = [u8; MAX_TARGETS];

#[derive(Debug, Clone)]
struct Template {
    spatial: Spatial,
    temporal: Temporal,
    indications: Indications,
    references: References,
    masks: Masks,
}

#[derive(Debug, Clone)]
struct Structure {
    first_id: u32,
    templates: Vec<Template>,
    /// The layer of each decode target.
    layers: Vec<Layer>,
    /// A bit for each decode target that is being sent.
    active: u32,
    /// For each spatial and temporal layer that somebody may want, the best decode target.
    best: [[u8; TEMPORALS]; Spatial::COUNT],
    sizes: [Option<Size>; Spatial::COUNT],
}

impl Structure {
    /// `template_dependency_structure()`.
    fn read(bits: &mut Bits<'_>) -> Option<Structure> {
        let first_id = bits.take(6)?;
        let targets = bits.take(5)? as usize + 1;
        let (mut templates, spatials) = read_layers(bits)?;
        for template in &mut templates {
            for indication in &mut template.indications[..targets] {
                *indication = bits.take(2)? as u8;
            }
        }
        for template in &mut templates {
            while bits.bit()? {
                template.references.push(bits.take(4)? as u16 + 1);
            }
        }
        skip_chains(bits, targets, templates.len())?;
        let mut structure = Structure {
            first_id,
            layers: target_layers(&templates, targets),
            templates,
            active: u32::MAX >> (MAX_TARGETS - targets),
            best: [[0; TEMPORALS]; Spatial::COUNT],
            sizes: read_sizes(bits, spatials)?,
        };
        structure.prepare();
        Some(structure)
    }

    /// What a descriptor says that names a template; `unknown` if there is no such template.
    fn explain(
        &self,
        template_id: u32,
        flags: Flags,
        unknown: Dependency,
        bits: &mut Bits<'_>,
    ) -> Option<Dependency> {
        let index = (template_id + 64 - self.first_id) % 64;
        let Some(template) = self.templates.get(index as usize) else {
            return Some(unknown);
        };
        let masks = match flags.custom_targets {
            true => self.masks(&self.read_targets(bits)?),
            false => template.masks,
        };
        let references = match flags.custom_references {
            true => read_references(bits)?,
            false => template.references,
        };
        Some(Dependency {
            key_frame: flags.new_structure && unknown.frame_start && references.is_empty(),
            spatial: template.spatial,
            temporal: template.temporal,
            targets: Targets {
                frame_number: unknown.targets.frame_number,
                references,
                masks,
            },
            known: true,
            size: self.sizes[template.spatial.index()],
            ..unknown
        })
    }

    fn read_targets(&self, bits: &mut Bits<'_>) -> Option<Indications> {
        let mut indications = [NOT_PRESENT; MAX_TARGETS];
        for indication in &mut indications[..self.layers.len()] {
            *indication = bits.take(2)? as u8;
        }
        Some(indications)
    }

    /// Works out what depends on the set of active decode targets.
    fn prepare(&mut self) {
        for spatial in 0..Spatial::COUNT {
            for temporal in 0..TEMPORALS {
                let wanted = (spatial as u8, temporal as u8);
                self.best[spatial][temporal] = self.best_target(wanted);
            }
        }
        for index in 0..self.templates.len() {
            self.templates[index].masks = self.masks(&self.templates[index].indications);
        }
    }

    /// The highest active target within the wanted layer, else the lowest active one, else any.
    fn best_target(&self, wanted: (u8, u8)) -> u8 {
        let layer = |index: &usize| {
            let layer = self.layers[*index];
            (layer.spatial.index() as u8, layer.temporal.id())
        };
        let active = || (0..self.layers.len()).filter(|index| self.active & (1 << index) != 0);
        let within = |index: &usize| layer(index).0 <= wanted.0 && layer(index).1 <= wanted.1;
        let best = active().filter(within).max_by_key(layer);
        best.or_else(|| active().min_by_key(layer)).unwrap_or(0) as u8
    }

    fn masks(&self, indications: &Indications) -> Masks {
        let mut masks = Masks::default();
        for (spatial, row) in self.best.iter().enumerate() {
            for (temporal, &target) in row.iter().enumerate() {
                let indication = indications[usize::from(target) % MAX_TARGETS];
                masks.needed[spatial] |= u8::from(indication != NOT_PRESENT) << temporal;
                masks.switch[spatial] |= u8::from(indication == SWITCH) << temporal;
            }
        }
        masks
    }
}

/// `template_layers()`: the templates with their layers, and how many spatial layers there are.
fn read_layers(bits: &mut Bits<'_>) -> Option<(Vec<Template>, usize)> {
    let mut templates = Vec::new();
    let (mut spatial, mut temporal) = (0u8, 0u8);
    while templates.len() < MAX_TEMPLATES {
        templates.push(Template {
            spatial: Spatial::new(spatial).unwrap_or(Spatial::HIGH),
            temporal: Temporal::new(temporal),
            indications: [NOT_PRESENT; MAX_TARGETS],
            references: References::default(),
            masks: Masks::UNKNOWN,
        });
        match bits.take(2)? {
            0 => {}
            1 => temporal += 1,
            2 => {
                temporal = 0;
                spatial += 1;
            }
            _ => return Some((templates, usize::from(spatial) + 1)),
        }
        if temporal as usize >= TEMPORALS || spatial > 3 {
            return None;
        }
    }
    None
}

/// `template_chains()`.
fn skip_chains(bits: &mut Bits<'_>, targets: usize, templates: usize) -> Option<()> {
    let chains = bits.non_symmetric(targets as u32 + 1)?;
    if chains == 0 {
        return Some(());
    }
    for _ in 0..targets {
        bits.non_symmetric(chains)?;
    }
    bits.skip(4 * templates as u32 * chains)
}

/// `decode_target_layers()`: a target's layer is the highest of the templates that it needs.
fn target_layers(templates: &[Template], targets: usize) -> Vec<Layer> {
    let layer = |target: usize| {
        let needed = || {
            templates
                .iter()
                .filter(move |t| t.indications[target] != NOT_PRESENT)
        };
        Layer {
            spatial: needed().map(|t| t.spatial).max().unwrap_or_default(),
            temporal: needed().map(|t| t.temporal).max().unwrap_or_default(),
        }
    };
    (0..targets).map(layer).collect()
}

/// `render_resolutions()`.
fn read_sizes(bits: &mut Bits<'_>, spatials: usize) -> Option<[Option<Size>; Spatial::COUNT]> {
    let mut sizes = [None; Spatial::COUNT];
    if bits.bit()? {
        for index in 0..spatials {
            let (width, height) = (bits.take(16)? + 1, bits.take(16)? + 1);
            sizes[index.min(Spatial::COUNT - 1)] = Some(Size { width, height });
        }
    }
    Some(sizes)
}

/// `frame_fdiffs()`.
fn read_references(bits: &mut Bits<'_>) -> Option<References> {
    let mut references = References::default();
    loop {
        let size = bits.take(2)?;
        if size == 0 {
            return Some(references);
        }
        references.push(bits.take(4 * size)? as u16 + 1);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes dependency descriptors for tests.
    #[derive(Default)]
    pub(crate) struct Writer(Vec<bool>);

    impl Writer {
        pub(crate) fn put(&mut self, value: u32, bits: u32) -> &mut Self {
            self.0
                .extend((0..bits).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        pub(crate) fn bytes(&self) -> Vec<u8> {
            let byte = |bits: &[bool]| {
                bits.iter()
                    .enumerate()
                    .fold(0, |byte, (i, bit)| byte | u8::from(*bit) << (7 - i))
            };
            self.0.chunks(8).map(byte).collect()
        }
    }

    fn mandatory(template: u32, frame: u32) -> Writer {
        let mut writer = Writer::default();
        writer.put(3, 2).put(template, 6).put(frame, 16);
        writer
    }

    /// Two spatial layers that depend on each other only in key pictures (L2T1_KEY), first
    /// template id 62 so that ids wrap.
    pub(crate) fn key_l2t1(frame: u32) -> Vec<u8> {
        let mut writer = mandatory(62, frame);
        writer.put(0b10000, 5).put(62, 6).put(1, 5);
        // Templates: S0 key, S0 delta, S1 key, S1 delta.
        writer.put(0, 2).put(2, 2).put(0, 2).put(3, 2);
        // For targets S0 and S1: switch switch, switch none, none switch, none switch.
        writer
            .put(0b1010, 4)
            .put(0b1000, 4)
            .put(0b0010, 4)
            .put(0b0010, 4);
        // References: none, 2 back, 1 back, 2 back.
        writer
            .put(0, 1)
            .put(0b10_0010, 6)
            .put(0b10_0000, 6)
            .put(0b10_0010, 6);
        // Two chains (ns(3) = 2: 11), a target each (ns(2): 1 bit), four templates.
        writer.put(0b11, 2).put(0, 1).put(1, 1).put(0, 32);
        writer
            .put(1, 1)
            .put(639, 16)
            .put(359, 16)
            .put(1279, 16)
            .put(719, 16);
        writer.bytes()
    }

    #[test]
    fn key_frame_that_is_cut_off_changes_what_later_frames_mean() {
        let mut reader = Reader::new();
        reader.read(&key_l2t1(1)).expect("a key frame");
        let mut before = reader.clone();
        // The same templates under other numbers, with targets of its own, which are missing.
        let mut broken = key_l2t1(2);
        broken[0] |= 1;
        broken[3] = broken[3] & 0x07 | 0b1010_0000;
        broken[4] ^= 0x20;
        assert_eq!(reader.read(&broken), None);
        let delta = mandatory(63, 3).bytes();
        assert_eq!(reader.read(&delta), before.read(&delta));
    }

    fn layer(spatial: u8, temporal: u8) -> Layer {
        Layer {
            spatial: Spatial::new(spatial).unwrap(),
            temporal: Temporal::new(temporal),
        }
    }

    #[test]
    fn templates_of_a_key_frame_explain_later_frames() {
        let mut reader = Reader::new();
        let key = reader.read(&key_l2t1(7)).unwrap();
        assert!(key.key_frame && key.known);
        assert_eq!(
            key.size,
            Some(Size {
                width: 640,
                height: 360
            })
        );
        assert!(key.targets.switch(layer(0, 0)) && key.targets.switch(layer(1, 0)));

        let upper_key = reader.read(&mandatory(0, 8).bytes()).unwrap();
        assert_eq!(upper_key.spatial, Spatial::MEDIUM);
        assert!(!upper_key.key_frame && !upper_key.targets.needed(layer(0, 0)));

        let lower_delta = reader.read(&mandatory(63, 9).bytes()).unwrap();
        assert!(lower_delta.targets.needed(layer(0, 0)));
        assert!(!lower_delta.targets.needed(layer(1, 0)));
        // Nobody sends a third layer: who wants it gets the second.
        assert!(!lower_delta.targets.needed(layer(2, 7)));
        assert_eq!(lower_delta.targets.frame_number, 9);
    }

    #[test]
    fn inactive_targets_are_replaced_by_lower_ones() {
        let mut reader = Reader::new();
        reader.read(&key_l2t1(7)).unwrap();
        let mut writer = mandatory(63, 9);
        writer.put(0b01000, 5).put(0b01, 2);
        let delta = reader.read(&writer.bytes()).unwrap();
        assert!(delta.targets.needed(layer(1, 0)));
    }

    #[test]
    fn custom_indications_overrule_the_template() {
        let mut reader = Reader::new();
        reader.read(&key_l2t1(7)).unwrap();
        let mut writer = mandatory(63, 9);
        writer.put(0b00110, 5).put(0b0001, 4).put(0b0100_0000, 8);
        let delta = reader.read(&writer.bytes()).unwrap();
        assert!(!delta.targets.needed(layer(0, 0)) && delta.targets.needed(layer(1, 0)));
        assert!(!delta.targets.switch(layer(1, 0)));
    }

    #[test]
    fn without_templates_everything_is_needed() {
        let mut reader = Reader::new();
        for data in [mandatory(3, 1).bytes(), {
            let mut writer = mandatory(3, 1);
            writer.put(0b01000, 5).put(1, 3);
            writer.bytes()
        }] {
            let found = reader.read(&data).unwrap();
            assert!(!found.known && !found.key_frame && found.targets.needed(layer(0, 0)));
        }
    }

    #[test]
    fn a_descriptor_cut_anywhere_keeps_the_old_templates() {
        let whole = key_l2t1(7);
        for len in 0..whole.len() {
            let mut reader = Reader::new();
            reader.read(&whole).unwrap();
            let found = reader.read(&whole[..len]);
            assert!(len == 3 || found.is_none(), "{len}");
            assert!(
                reader.read(&mandatory(0, 8).bytes()).unwrap().known,
                "{len}"
            );
        }
    }
}
