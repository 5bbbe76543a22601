//! Icons drawn with the painter, so that no font has to have them and every scale is sharp.

use eframe::egui;
use egui::epaint::PathShape;
use egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, Vec2, pos2, vec2};

/// What an icon shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    /// A triangle to the right.
    Play,
    /// Two bars.
    Pause,
    /// A bar and a triangle to the left.
    First,
    /// A triangle to the left.
    Back,
    /// A triangle to the right with a bar.
    Last,
    /// A small triangle to the right.
    Forward,
    /// Two arrows that chase each other.
    Loop,
    /// A die.
    Dice,
    /// A closed lock.
    Locked,
    /// An open lock.
    Unlocked,
    /// A cross.
    Close,
    /// An arrow head up.
    Up,
    /// An arrow head down.
    Down,
    /// A star.
    Star,
    /// Three dots: more to choose from.
    More,
    /// A picture, one half of it light.
    Compare,
    /// Two arrows that pass each other.
    Swap,
}

impl Icon {
    /// Draws the icon in the middle of `rect`, about 14 points large.
    pub fn paint(self, painter: &Painter, rect: Rect, colour: Color32) {
        let centre = rect.center();
        let at = |x: f32, y: f32| centre + vec2(x, y);
        let stroke = Stroke::new(1.5, colour);
        let bar = |x: f32| Rect::from_center_size(at(x, 0.0), vec2(2.0, 11.0));
        match self {
            Self::Play => {
                triangle(
                    painter,
                    [at(-4.5, -6.0), at(6.5, 0.0), at(-4.5, 6.0)],
                    colour,
                );
            }
            Self::Pause => {
                for x in [-3.0, 3.0] {
                    painter.rect_filled(
                        Rect::from_center_size(at(x, 0.0), vec2(3.5, 12.0)),
                        1.0,
                        colour,
                    );
                }
            }
            Self::First => {
                painter.rect_filled(bar(-5.5), 0.5, colour);
                triangle(
                    painter,
                    [at(5.5, -5.5), at(-3.5, 0.0), at(5.5, 5.5)],
                    colour,
                );
            }
            Self::Last => {
                painter.rect_filled(bar(5.5), 0.5, colour);
                triangle(
                    painter,
                    [at(-5.5, -5.5), at(3.5, 0.0), at(-5.5, 5.5)],
                    colour,
                );
            }
            Self::Back => triangle(
                painter,
                [at(4.0, -5.5), at(-5.0, 0.0), at(4.0, 5.5)],
                colour,
            ),
            Self::Forward => triangle(
                painter,
                [at(-4.0, -5.5), at(5.0, 0.0), at(-4.0, 5.5)],
                colour,
            ),
            Self::Loop => {
                for (from, flip) in [(-150.0_f32, 1.0_f32), (30.0, -1.0)] {
                    painter.add(Shape::line(arc(centre, 5.5, from, from + 140.0), stroke));
                    // The head points along the arc's end.
                    let end = polar(centre, 5.5, from + 140.0);
                    triangle(
                        painter,
                        [
                            end + vec2(-3.0 * flip, -1.5 * flip),
                            end + vec2(3.0 * flip, -1.5 * flip),
                            end + vec2(0.0, 3.0 * flip),
                        ],
                        colour,
                    );
                }
            }
            Self::Dice => {
                let die = Rect::from_center_size(centre, Vec2::splat(13.0));
                painter.rect_stroke(die, 3.0, stroke, StrokeKind::Inside);
                for (x, y) in [
                    (-3.0, -3.0),
                    (3.0, -3.0),
                    (0.0, 0.0),
                    (-3.0, 3.0),
                    (3.0, 3.0),
                ] {
                    painter.circle_filled(at(x, y), 1.1, colour);
                }
            }
            Self::Locked | Self::Unlocked => {
                let body = Rect::from_center_size(at(0.0, 2.5), vec2(10.0, 7.5));
                painter.rect_filled(body, 1.5, colour);
                let hinge = if self == Self::Locked { 0.0 } else { 5.0 };
                let mut shackle = vec![at(-3.0 + hinge, -1.0)];
                shackle.extend(arc(at(hinge, -3.0), 3.0, 180.0, 360.0));
                if self == Self::Locked {
                    shackle.push(at(3.0, -1.0));
                }
                painter.add(Shape::line(shackle, stroke));
            }
            Self::Star => {
                // Five triangles about the middle: the painter fills only what is convex.
                for i in 0..5 {
                    let tip = -90.0 + 72.0 * i as f32;
                    for side in [-36.0, 36.0] {
                        triangle(
                            painter,
                            [
                                centre,
                                polar(centre, 6.5, tip),
                                polar(centre, 3.0, tip + side),
                            ],
                            colour,
                        );
                    }
                }
            }
            Self::Up | Self::Down => {
                let tip = if self == Self::Up { -3.0 } else { 3.0 };
                let line = vec![
                    at(-4.5, -tip / 2.0),
                    at(0.0, tip / 2.0),
                    at(4.5, -tip / 2.0),
                ];
                painter.add(Shape::line(line, stroke));
            }
            Self::More => {
                for x in [-4.5, 0.0, 4.5] {
                    painter.circle_filled(at(x, 0.0), 1.5, colour);
                }
            }
            Self::Compare => {
                let frame = Rect::from_center_size(centre, vec2(14.0, 12.0));
                painter.rect_stroke(frame, 2.0, stroke, StrokeKind::Inside);
                painter.rect_filled(frame.with_max_x(centre.x), 2.0, colour);
            }
            Self::Swap => {
                for side in [-1.0_f32, 1.0] {
                    let (tail, tip) = (at(-6.0 * side, 3.0 * side), at(6.0 * side, 3.0 * side));
                    painter.line_segment([tail, tip], stroke);
                    let back = tip - vec2(3.5 * side, 0.0);
                    painter.line_segment([tip, back + vec2(0.0, 3.0)], stroke);
                    painter.line_segment([tip, back - vec2(0.0, 3.0)], stroke);
                }
            }
            Self::Close => {
                painter.line_segment([at(-4.0, -4.0), at(4.0, 4.0)], stroke);
                painter.line_segment([at(-4.0, 4.0), at(4.0, -4.0)], stroke);
            }
        }
    }
}

fn triangle(painter: &Painter, points: [Pos2; 3], colour: Color32) {
    painter.add(PathShape::convex_polygon(
        points.to_vec(),
        colour,
        Stroke::NONE,
    ));
}

fn polar(centre: Pos2, radius_px: f32, degrees: f32) -> Pos2 {
    let (sin, cos) = degrees.to_radians().sin_cos();
    pos2(centre.x + radius_px * cos, centre.y + radius_px * sin)
}

fn arc(centre: Pos2, radius_px: f32, from_degrees: f32, to_degrees: f32) -> Vec<Pos2> {
    const PIECES: usize = 16;
    (0..=PIECES)
        .map(|i| {
            let part = i as f32 / PIECES as f32;
            polar(
                centre,
                radius_px,
                from_degrees + (to_degrees - from_degrees) * part,
            )
        })
        .collect()
}
