use candle_core::{D, Result, Tensor};

use crate::models::nn::{
    Activation, LayerNorm, Linear, activate, attention, linear, linear_no_bias,
};
use crate::models::weights::Params;

/// How a family calls the parts of a block.
pub(super) struct Names {
    pub(super) norms: [&'static str; 2],
    pub(super) query: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) output: &'static str,
    /// The factors of each channel that some families multiply a branch with.
    pub(super) scales: Option<[&'static str; 2]>,
}

/// The kind and size of a block.
pub(super) struct Shape {
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) eps: f64,
    /// Whether queries, keys and values have a bias.
    pub(super) qkv_bias: bool,
    pub(super) feed: FeedShape,
}

/// The kind of a feed-forward layer and its inner channels.
#[derive(Clone, Copy)]
pub(super) enum FeedShape {
    Plain(Bend, usize),
    /// SwiGLU (Shazeer, arXiv 2002.05202).
    Gated(usize),
}

/// The non-linearity of a plain feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bend {
    /// GELU by the error function.
    Gelu,
    /// `x * sigmoid(1.702 x)`, GELU's approximation in OpenAI's CLIP.
    QuickGelu,
}

impl Bend {
    /// By transformers' name of it.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "gelu" => Some(Self::Gelu),
            "quick_gelu" => Some(Self::QuickGelu),
            _ => None,
        }
    }

    fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => x.gelu_erf(),
            Self::QuickGelu => activate(&(x * 1.702)?, Activation::Silu)? / 1.702,
        }
    }
}

/// A transformer block with its norms before the branches (Dosovitskiy et al., arXiv 2010.11929).
#[derive(Clone, Debug)]
pub(super) struct Block {
    norms: [LayerNorm; 2],
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    feed: Feed,
    scales: Option<[Tensor; 2]>,
}

#[derive(Clone, Debug)]
enum Feed {
    Plain(Linear, Bend, Linear),
    /// One matrix makes the gate and, behind it, what passes.
    Gated(Linear, Linear),
}

impl Block {
    pub(super) fn new(names: &Names, shape: &Shape, params: Params) -> Result<Self> {
        let dim = shape.hidden;
        let norm = |name: &str| LayerNorm::new(dim, shape.eps, params.pp(name));
        let inner = |name: &str| match shape.qkv_bias {
            true => linear(dim, dim, params.pp(name)),
            false => linear_no_bias(dim, dim, params.pp(name)),
        };
        let mlp = params.pp("mlp");
        let scales = match names.scales {
            Some([one, two]) => Some([params.get(dim, one)?, params.get(dim, two)?]),
            None => None,
        };
        Ok(Self {
            norms: [norm(names.norms[0])?, norm(names.norms[1])?],
            query: inner(names.query)?,
            key: inner(names.key)?,
            value: inner(names.value)?,
            output: linear(dim, dim, params.pp(names.output))?,
            heads: shape.heads,
            feed: match shape.feed {
                FeedShape::Plain(bend, wide) => Feed::Plain(
                    linear(dim, wide, mlp.pp("fc1"))?,
                    bend,
                    linear(wide, dim, mlp.pp("fc2"))?,
                ),
                FeedShape::Gated(wide) => Feed::Gated(
                    linear(dim, 2 * wide, mlp.pp("weights_in"))?,
                    linear(wide, dim, mlp.pp("weights_out"))?,
                ),
            },
            scales,
        })
    }

    /// `x` is `(batch, tokens, hidden)`. `mask` `(tokens, tokens)`, queries as rows, is added to the
    /// scores; without one every token sees every other.
    pub(super) fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let [first, second] = &self.norms;
        let mixed = self.attend(&first.forward(x)?, mask)?;
        let x = (x + self.scaled(0, mixed)?)?;
        let fed = self.feed.forward(&second.forward(&x)?)?;
        &x + self.scaled(1, fed)?
    }

    fn scaled(&self, branch: usize, y: Tensor) -> Result<Tensor> {
        match &self.scales {
            Some(scales) => y.broadcast_mul(&scales[branch]),
            None => Ok(y),
        }
    }

    fn attend(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let (batch, tokens, hidden) = x.dims3()?;
        let width = hidden / self.heads;
        let split = |layer: &Linear| {
            layer
                .forward(x)?
                .reshape((batch, tokens, self.heads, width))
        };
        let (query, key, value) = (split(&self.query)?, split(&self.key)?, split(&self.value)?);
        let scale = 1.0 / (width as f64).sqrt();
        let mixed = match mask {
            None => attention(&query, &key, &value, scale)?,
            Some(mask) => masked(&query, &key, &value, scale, mask)?,
        };
        self.output.forward(&mixed.flatten_from(2)?)
    }
}

/// As [`attention`], with `mask` added to the scores. For a few tokens.
fn masked(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    scale: f64,
    mask: &Tensor,
) -> Result<Tensor> {
    let by_head = |x: &Tensor| x.transpose(1, 2)?.contiguous();
    let keys = by_head(key)?.transpose(2, 3)?.contiguous()?;
    let scores = (by_head(query)? * scale)?.matmul(&keys)?;
    let weights = candle_nn::ops::softmax_last_dim(&scores.broadcast_add(mask)?.contiguous()?)?;
    weights
        .matmul(&by_head(value)?)?
        .transpose(1, 2)?
        .contiguous()
}

impl Feed {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Plain(widen, bend, narrow) => narrow.forward(&bend.forward(&widen.forward(x)?)?),
            Self::Gated(widen, narrow) => {
                let both = widen.forward(x)?.chunk(2, D::Minus1)?;
                let gate = activate(&both[0].contiguous()?, Activation::Silu)?;
                narrow.forward(&(gate * &both[1])?)
            }
        }
    }
}
