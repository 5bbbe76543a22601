//! Neighbours on the axes of one clip, folded into channels and back.

use candle_core::{Result, Tensor};

/// `(1, C, T, H, W)` to `(1, C * st * sh * sw, T / st, H / sh, W / sw)`: channels of one position
/// lie next to each other, in the order time, height, width.
pub(super) fn fold(x: &Tensor, [st, sh, sw]: [usize; 3]) -> Result<Tensor> {
    let (_, channels, frames, height, width) = x.dims5()?;
    let (t, h, w) = (frames / st, height / sh, width / sw);
    x.reshape([channels, t, st, h, sh, w, sw].as_slice())?
        .permute([0, 2, 4, 6, 1, 3, 5].as_slice())?
        .reshape((1, channels * st * sh * sw, t, h, w))
}

/// The inverse of [`fold`].
pub(super) fn unfold(x: &Tensor, [st, sh, sw]: [usize; 3]) -> Result<Tensor> {
    let (_, channels, t, h, w) = x.dims5()?;
    let channels = channels / (st * sh * sw);
    x.reshape([channels, st, sh, sw, t, h, w].as_slice())?
        .permute([0, 4, 1, 5, 2, 6, 3].as_slice())?
        .reshape((1, channels, t * st, h * sh, w * sw))
}

/// As [`fold`] with `side` pixels of each frame, in the order width, height: so the networks' ends
/// have it.
pub(super) fn patches(x: &Tensor, side: usize) -> Result<Tensor> {
    let (_, channels, frames, height, width) = x.dims5()?;
    let (h, w) = (height / side, width / side);
    x.reshape([channels, frames, h, side, w, side].as_slice())?
        .permute([0, 5, 3, 1, 2, 4].as_slice())?
        .reshape((1, channels * side * side, frames, h, w))
}

/// The inverse of [`patches`].
pub(super) fn pixels(x: &Tensor, side: usize) -> Result<Tensor> {
    let (_, channels, frames, h, w) = x.dims5()?;
    let channels = channels / (side * side);
    x.reshape([channels, side, side, frames, h, w].as_slice())?
        .permute([0, 3, 4, 2, 5, 1].as_slice())?
        .reshape((1, channels, frames, h * side, w * side))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{fold, patches, pixels, unfold};

    fn numbers(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn what_is_folded_can_be_unfolded() {
        let x = Tensor::arange(0f32, 192.0, &Device::Cpu).unwrap();
        let x = x.reshape((1, 2, 4, 4, 6)).unwrap();
        for stride in [[1, 2, 2], [2, 1, 1], [2, 2, 2], [4, 1, 3]] {
            let folded = fold(&x, stride).unwrap();
            assert_eq!(numbers(&unfold(&folded, stride).unwrap()), numbers(&x));
        }
        let folded = patches(&x, 2).unwrap();
        assert_eq!(folded.dims(), [1, 8, 4, 2, 3]);
        // The second channel is the pixel below the first.
        assert_eq!(numbers(&folded)[24], 6.0);
        assert_eq!(numbers(&pixels(&folded, 2).unwrap()), numbers(&x));
    }
}
