/// Fastest speed of J and L, in times the clip's own rate.
const MAX_SPEED: f64 = 8.0;
/// Below this share of a frame a time counts as the next frame's: sums of seconds are never exact.
const SLACK_FRAMES: f64 = 1e-6;

/// Which frame shows when. Pure: the window tells it how much time went by.
#[derive(Clone, Debug, PartialEq)]
pub struct Player {
    frames: usize,
    fps: f64,
    position_secs: f64,
    /// Times the clip's own rate; negative plays backwards.
    speed: f64,
    playing: bool,
    looping: bool,
}

impl Default for Player {
    /// Nothing to play yet; what comes will play in a loop.
    fn default() -> Self {
        Self {
            frames: 0,
            fps: 16.0,
            position_secs: 0.0,
            speed: 1.0,
            playing: true,
            looping: true,
        }
    }
}

impl Player {
    /// What is played: a number of frames and their rate. Time goes on where it was, so that a clip
    /// takes over from its latents in mid-motion.
    pub fn set_source(&mut self, frames: usize, fps: f64) {
        self.frames = frames;
        self.fps = if fps.is_finite() && fps > 0.0 {
            fps
        } else {
            1.0
        };
        self.go(self.position_secs);
    }

    /// [`set_source`](Self::set_source) for latents: each of their frames stands for
    /// `temporal_stride` frames of the clip.
    pub fn set_latent_source(&mut self, frames: usize, clip_fps: f64, temporal_stride: usize) {
        self.set_source(frames, clip_fps / temporal_stride.max(1) as f64);
    }

    /// Frames there are.
    pub fn frame_count(&self) -> usize {
        self.frames
    }

    /// Frames a second at speed 1.
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// The frame to show, from 0.
    pub fn frame_index(&self) -> usize {
        let frame = (self.position_secs * self.fps + SLACK_FRAMES).floor() as usize;
        frame.min(self.frames.saturating_sub(1))
    }

    /// Seconds from the start.
    pub fn position_secs(&self) -> f64 {
        self.position_secs
    }

    /// Length in seconds.
    pub fn duration_secs(&self) -> f64 {
        self.frames as f64 / self.fps
    }

    /// Whether time goes on.
    pub fn is_playing(&self) -> bool {
        self.playing && self.frames > 1
    }

    /// Times the clip's own rate; negative is backwards.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// Whether the end leads to the start.
    pub fn is_looping(&self) -> bool {
        self.looping
    }

    /// Chooses whether the end leads to the start.
    pub fn set_looping(&mut self, looping: bool) {
        self.looping = looping;
    }

    /// Lets `dt_secs` seconds of the world go by.
    pub fn advance(&mut self, dt_secs: f64) {
        if !self.is_playing() || !dt_secs.is_finite() {
            return;
        }
        let target = self.position_secs + dt_secs * self.speed;
        let end = self.duration_secs();
        if self.looping {
            let wrapped = target.rem_euclid(end);
            // A hair before the end is the end, so that the first frame is not a hair late.
            let at_end = wrapped * self.fps + SLACK_FRAMES >= self.frames as f64;
            self.position_secs = if at_end { 0.0 } else { wrapped };
        } else {
            self.go(target);
            self.playing = (0.0..end).contains(&target);
        }
    }

    /// Seconds of the world until another frame shows, for a window that sleeps meanwhile. `None`
    /// while nothing moves.
    pub fn secs_to_next_frame(&self) -> Option<f64> {
        if !self.is_playing() || self.speed == 0.0 {
            return None;
        }
        let into = self.position_secs - self.frame_index() as f64 / self.fps;
        let left = if self.speed > 0.0 {
            1.0 / self.fps - into
        } else {
            // Strictly below the frame's start, or the same frame would show again.
            into + SLACK_FRAMES.sqrt() / self.fps
        };
        Some((left / self.speed.abs()).max(0.0))
    }

    /// Plays forwards at the clip's own rate; from the start when it stood at the end.
    pub fn play(&mut self) {
        if !self.looping && self.frame_index() + 1 >= self.frames {
            self.position_secs = 0.0;
        }
        self.speed = 1.0;
        self.playing = true;
    }

    /// Holds the frame.
    pub fn pause(&mut self) {
        self.playing = false;
        self.speed = 1.0;
    }

    /// Space.
    pub fn toggle(&mut self) {
        if self.is_playing() {
            self.pause();
        } else {
            self.play();
        }
    }

    /// L: forwards; each further press is twice as fast.
    pub fn shuttle_forward(&mut self) {
        self.shuttle(1.0);
    }

    /// J: backwards; each further press is twice as fast.
    pub fn shuttle_back(&mut self) {
        self.shuttle(-1.0);
    }

    fn shuttle(&mut self, direction: f64) {
        let same_way = self.is_playing() && self.speed * direction > 0.0;
        self.speed = if same_way {
            direction * (self.speed.abs() * 2.0).min(MAX_SPEED)
        } else {
            direction
        };
        self.playing = true;
    }

    /// Pauses and goes `by` frames on, or back; around the ends in a loop.
    pub fn step_frame(&mut self, by: isize) {
        self.pause();
        let frames = self.frames.max(1) as isize;
        let target = self.frame_index() as isize + by;
        let target = if self.looping {
            target.rem_euclid(frames)
        } else {
            target.clamp(0, frames - 1)
        };
        self.seek_frame(target as usize);
    }

    /// Goes `by` seconds on, or back, to a whole frame, stopping at the ends. Goes on playing.
    pub fn step_second(&mut self, by: f64) {
        let target = self.frame_index() as f64 + (by * self.fps).round();
        self.seek_frame(target.max(0.0) as usize);
    }

    /// Goes to a time, kept within the clip.
    pub fn seek_secs(&mut self, secs: f64) {
        self.go(secs);
    }

    /// Goes to the start of a frame; past the end means the last one.
    pub fn seek_frame(&mut self, frame: usize) {
        self.go(frame.min(self.frames.saturating_sub(1)) as f64 / self.fps);
    }

    /// Goes to the first frame.
    pub fn home(&mut self) {
        self.seek_frame(0);
    }

    /// Goes to the last frame.
    pub fn end(&mut self) {
        self.seek_frame(usize::MAX);
    }

    fn go(&mut self, secs: f64) {
        let last = self.frames.saturating_sub(1) as f64 / self.fps;
        // Within the last frame every time shows that frame, so its start is as far as a seek goes.
        let within = if secs.is_finite() { secs.max(0.0) } else { 0.0 };
        self.position_secs = if within >= self.duration_secs() {
            last
        } else {
            within
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn player(frames: usize, fps: f64) -> Player {
        let mut player = Player::default();
        player.set_source(frames, fps);
        player
    }

    #[test]
    fn frames_show_at_their_own_rate_and_loop() {
        let mut player = player(4, 16.0);
        let mut seen = Vec::new();
        for _ in 0..12 {
            seen.push(player.frame_index());
            player.advance(1.0 / 32.0);
        }
        assert_eq!(seen, [0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1]);
    }

    #[test]
    fn without_a_loop_it_stops_on_the_last_frame() {
        let mut player = player(4, 10.0);
        player.set_looping(false);
        player.advance(5.0);
        assert_eq!((player.frame_index(), player.is_playing()), (3, false));
        player.toggle();
        assert_eq!((player.frame_index(), player.is_playing()), (0, true));
        player.shuttle_back();
        player.advance(1.0);
        assert_eq!((player.frame_index(), player.is_playing()), (0, false));
    }

    #[test]
    fn shuttles_double_and_turn() {
        let mut player = player(100, 10.0);
        player.pause();
        let mut speeds = Vec::new();
        for _ in 0..5 {
            player.shuttle_forward();
            speeds.push(player.speed());
        }
        player.shuttle_back();
        speeds.push(player.speed());
        player.shuttle_back();
        speeds.push(player.speed());
        assert_eq!(speeds, [1.0, 2.0, 4.0, 8.0, 8.0, -1.0, -2.0]);
        player.advance(0.5);
        assert_eq!(player.frame_index(), 90);
        player.pause();
        assert_eq!(player.speed(), 1.0);
        assert_eq!(player.secs_to_next_frame(), None);
    }

    #[test]
    fn steps_and_jumps_land_on_frames() {
        let mut player = player(33, 23.976);
        player.step_frame(1);
        assert_eq!((player.frame_index(), player.is_playing()), (1, false));
        player.step_frame(-2);
        assert_eq!(player.frame_index(), 32);
        player.set_looping(false);
        player.step_frame(1);
        assert_eq!(player.frame_index(), 32);
        player.home();
        player.step_second(1.0);
        assert_eq!(player.frame_index(), 24);
        player.step_second(1.0);
        assert_eq!(player.frame_index(), 32);
        player.step_second(-1.0);
        assert_eq!(player.frame_index(), 8);
        player.end();
        assert_eq!(player.frame_index(), 32);
        player.seek_secs(f64::NAN);
        assert_eq!(player.frame_index(), 0);
    }

    #[test]
    fn every_frame_can_be_reached_exactly() {
        for fps in [7.3, 12.0, 16.0, 23.976, 24_000.0 / 1001.0, 30.0, 59.94] {
            let mut player = player(500, fps);
            for frame in 0..500 {
                player.seek_frame(frame);
                assert_eq!(player.frame_index(), frame);
            }
            player.home();
            for frame in 1..500 {
                player.step_frame(1);
                assert_eq!(player.frame_index(), frame);
            }
        }
    }

    #[test]
    fn latents_run_at_their_share_and_hand_over_in_time() {
        let mut player = Player::default();
        player.set_latent_source(5, 16.0, 4);
        assert_eq!(player.fps(), 4.0);
        player.advance(0.8);
        assert_eq!(player.frame_index(), 3);
        player.set_source(17, 16.0);
        assert_eq!(player.frame_index(), 12);
    }

    #[test]
    fn nothing_and_a_still_do_not_move() {
        let mut nothing = Player::default();
        nothing.advance(1.0);
        nothing.step_frame(-1);
        nothing.toggle();
        assert_eq!(nothing.frame_index(), 0);
        let mut still = player(1, 16.0);
        still.play();
        still.advance(10.0);
        assert_eq!((still.frame_index(), still.secs_to_next_frame()), (0, None));
    }

    proptest! {
        #[test]
        fn the_frame_is_always_one_there_is(
            frames in 1usize..200, fps in 0.5f64..120.0, moves in proptest::collection::vec((0u8..9, -3.0f64..3.0), 0..40),
        ) {
            let mut player = player(frames, fps);
            for (what, by) in moves {
                match what {
                    0 => player.advance(by.abs()),
                    1 => player.shuttle_back(),
                    2 => player.shuttle_forward(),
                    3 => player.step_frame(by as isize),
                    4 => player.step_second(by),
                    5 => player.set_looping(by > 0.0),
                    6 => player.toggle(),
                    7 => player.seek_secs(by),
                    _ => player.end(),
                }
                prop_assert!(player.frame_index() < frames);
                prop_assert!((0.0..=player.duration_secs()).contains(&player.position_secs()));
            }
        }

        #[test]
        fn waking_when_told_shows_the_next_frame(
            frames in 2usize..200, fps in 1.0f64..120.0, start in 0.0f64..1.0, back in proptest::bool::ANY,
        ) {
            let mut player = player(frames, fps);
            player.seek_secs(start * player.duration_secs());
            if back { player.shuttle_back() }
            let before = player.frame_index();
            player.advance(player.secs_to_next_frame().unwrap());
            let by = if back { frames - 1 } else { 1 };
            prop_assert_eq!(player.frame_index(), (before + by) % frames);
        }
    }
}
