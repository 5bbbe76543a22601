use serde::Serialize;

/// What the reader says of one clip. Answers are logits in the order of the names in
/// [`ReaderSpec`](super::ReaderSpec).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reading {
    /// Of each colour, what it sees of the object that has it.
    pub colours: Vec<ColourReading>,
    /// The background's colour.
    pub background: Vec<f32>,
    /// The background's pattern.
    pub pattern: Vec<f32>,
    /// Where the clip lies among others: each value has mean 0 and deviation 1 over drawn clips.
    #[serde(skip)]
    pub embedding: Vec<f32>,
}

/// What the reader says of the object of one colour.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColourReading {
    /// Above 0 where it sees such an object.
    pub present: f32,
    /// Its shape.
    pub shape: Vec<f32>,
    /// Its motion.
    pub motion: Vec<f32>,
    /// Its size.
    pub size: Vec<f32>,
}

impl ColourReading {
    /// Whether there is an object of this colour.
    pub fn is_present(&self) -> bool {
        self.present > 0.0
    }
}

impl Reading {
    /// How far apart two clips are in what they show: 1 minus the cosine of their embeddings, 0..=2.
    pub fn distance(&self, other: &Self) -> f64 {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        let (a, b) = (&self.embedding, &other.embedding);
        1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }
}

/// The index of the largest logit; the first of equals.
pub fn likeliest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_of_directions() {
        let at = |embedding: &[f32]| Reading {
            colours: Vec::new(),
            background: Vec::new(),
            pattern: Vec::new(),
            embedding: embedding.to_vec(),
        };
        let one = at(&[1.0, 2.0]);
        assert!(one.distance(&at(&[2.0, 4.0])).abs() < 1e-12);
        assert!((one.distance(&at(&[-2.0, 1.0])) - 1.0).abs() < 1e-12);
        assert!((one.distance(&at(&[-1.0, -2.0])) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_first_of_the_largest() {
        assert_eq!(likeliest(&[0.1, 0.5, 0.5, -1.0]), 1);
    }
}
