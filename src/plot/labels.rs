//! Where the names of dots go, so that none lies on a dot or on another name.

use std::ops::Range;

/// A name's box beside its dot, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    left: i32,
    top: i32,
    width: i32,
    height: i32,
}

impl Frame {
    fn meets(&self, other: &Self) -> bool {
        self.left < other.left + other.width
            && other.left < self.left + self.width
            && self.top < other.top + other.height
            && other.top < self.top + self.height
    }

    fn is_inside(&self, room: &[Range<i32>; 2]) -> bool {
        self.left >= room[0].start
            && self.left + self.width <= room[0].end
            && self.top >= room[1].start
            && self.top + self.height <= room[1].end
    }
}

/// The upper left corners of names of these `sizes` beside `dots`, within `room` (across, then down) and `gap`
/// pixels from their dots. The first names choose first; `None` for one that finds no free place, and for
/// a dot without a name.
pub(super) fn place(
    dots: &[(i32, i32)],
    sizes: &[Option<(i32, i32)>],
    room: &[Range<i32>; 2],
    gap: i32,
) -> Vec<Option<(i32, i32)>> {
    let around = |&(x, y): &(i32, i32)| Frame {
        left: x - gap,
        top: y - gap,
        width: 2 * gap,
        height: 2 * gap,
    };
    let mut taken: Vec<Frame> = dots.iter().map(around).collect();
    let mut corners = Vec::with_capacity(dots.len());
    for (&(x, y), size) in dots.iter().zip(sizes) {
        let Some((width, height)) = *size else {
            corners.push(None);
            continue;
        };
        let (right, left, middle) = (x + gap, x - gap - width, x - width / 2);
        let (above, below, level) = (y - gap - height, y + gap, y - height / 2);
        // A line that rises to the right passes neither above on the left nor below on the right.
        let places = [
            (left, above),
            (right, below),
            (right, level),
            (left, level),
            (middle, above),
            (middle, below),
            (right, above),
            (left, below),
        ];
        let frames = places.map(|(left, top)| Frame {
            left,
            top,
            width,
            height,
        });
        let is_free =
            |frame: &&Frame| frame.is_inside(room) && taken.iter().all(|other| !frame.meets(other));
        let found = frames.iter().find(is_free).copied();
        taken.extend(found);
        corners.push(found.map(|frame| (frame.left, frame.top)));
    }
    corners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_off_dots_edges_and_each_other() {
        let room = [0..100, 0..60];
        let size = Some((30, 10));
        let of = |dots: &[(i32, i32)]| place(dots, &vec![size; dots.len()], &room, 5);
        assert_eq!(of(&[(50, 30)]), [Some((15, 15))]);
        // No room to the left.
        assert_eq!(of(&[(20, 30)]), [Some((25, 35))]);
        // No room above, nor to the right.
        assert_eq!(of(&[(90, 7)]), [Some((55, 2))]);
        // Dots are where the first one's and the last one's names would be.
        let three = of(&[(60, 30), (40, 20), (90, 45)]);
        assert_eq!(three, [Some((65, 25)), Some((5, 5)), Some((55, 40))]);
        // Nothing is left in the middle of a crowd.
        let crowd: Vec<_> = (0..10)
            .flat_map(|x| (0..6).map(move |y| (10 * x, 10 * y)))
            .collect();
        assert_eq!(of(&crowd), vec![None; crowd.len()]);
        assert_eq!(place(&[(50, 30)], &[None], &room, 5), [None]);
    }
}
