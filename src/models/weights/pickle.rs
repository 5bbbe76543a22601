//! Headers of PyTorch checkpoints (`.pth`, `.pt`, `.bin`): a zip archive of raw tensors and a
//! pickle that says which is which.
//!
//! A pickle is a program, and running a stranger's is unsafe. This reads the few instructions that
//! a dictionary of tensors is written with (protocol 2, as `torch.save` writes it) and refuses any
//! other. candle has a reader too, but it copies every tensor and panics over a short tuple.

use std::collections::HashMap;
use std::io::{Cursor, Read as _};
use std::ops::Range;
use std::rc::Rc;

use candle_core::DType;
use zip::{CompressionMethod, ZipArchive};

use super::header::{Format, Stored, numbers};

/// More bytes than any pickle of names and shapes has.
const LONGEST: u64 = 64 << 20;
/// Values may hold values, this deep at most.
const DEEPEST: usize = 16;
/// Keys under which training programs put a model's own dictionary.
const INNER: [&str; 3] = ["state_dict", "model_state", "module"];

/// The tensors of a checkpoint.
pub(super) fn header(bytes: &[u8]) -> Result<Vec<(String, Stored)>, String> {
    let archive = Archive::open(bytes)?;
    let tensors = dictionary(Machine::run(&archive.pickle)?)?;
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            let whole = archive.storages.get(&*tensor.storage).ok_or_else(|| {
                format!(
                    "the data of its tensor `{name}` (number {}) is not in the archive",
                    tensor.storage
                )
            })?;
            if !contiguous(&tensor.shape, &tensor.stride) {
                return Err(format!(
                    "its tensor `{name}` is a view with strides {:?}",
                    tensor.stride
                ));
            }
            let size = numbers(&tensor.shape).and_then(|count| tensor.format.bytes(count));
            let skipped = tensor.format.bytes(tensor.offset);
            let range = match (skipped, size) {
                (Some(skipped), Some(size)) => {
                    let start = whole.start.saturating_add(skipped);
                    start..start.saturating_add(size)
                }
                _ if matches!(tensor.format, Format::Other(_)) => 0..0,
                _ => {
                    return Err(format!(
                        "its tensor `{name}` has the shape {:?}",
                        tensor.shape
                    ));
                }
            };
            if range.end > whole.end {
                return Err(format!(
                    "its tensor `{name}` of shape {:?} is longer than its data",
                    tensor.shape
                ));
            }
            let stored = Stored {
                format: tensor.format,
                shape: tensor.shape,
                range,
            };
            Ok((name, stored))
        })
        .collect()
}

/// The archive's pickle, and where its tensors' data lies in the file by number.
struct Archive {
    pickle: Vec<u8>,
    storages: HashMap<String, Range<usize>>,
}

impl Archive {
    fn open(bytes: &[u8]) -> Result<Self, String> {
        let broken = |error: zip::result::ZipError| format!("its archive cannot be read ({error})");
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        let mut pickle = None;
        let mut storages = HashMap::new();
        for index in 0..zip.len() {
            let entry = zip.by_index(index).map_err(broken)?;
            let name = entry.name().map_err(broken)?.into_owned();
            let parts: Vec<&str> = name.split('/').collect();
            if entry.compression() != CompressionMethod::Stored {
                return Err(format!("its part {name} is compressed"));
            }
            match parts[..] {
                [.., "data.pkl"] => {
                    if entry.size() > LONGEST {
                        return Err(format!("its table takes {} bytes", entry.size()));
                    }
                    let mut text = Vec::new();
                    entry
                        .take(LONGEST)
                        .read_to_end(&mut text)
                        .map_err(|error| format!("its table cannot be read ({error})"))?;
                    pickle = Some(text);
                }
                [.., "data", number] => {
                    let start = entry.data_start().unwrap_or(u64::MAX);
                    let end = start.saturating_add(entry.size());
                    if end > bytes.len() as u64 {
                        return Err(format!("its part {name} goes on past the end"));
                    }
                    storages.insert(number.to_owned(), start as usize..end as usize);
                }
                _ => {}
            }
        }
        match pickle {
            Some(pickle) => Ok(Self { pickle, storages }),
            None => Err("it is an archive without a table of tensors (data.pkl)".into()),
        }
    }
}

/// The named tensors of what a pickle made: a dictionary, or one a key further down.
fn dictionary(value: Value) -> Result<Vec<(String, Tensor)>, String> {
    let Kind::Dict(pairs) = value.kind else {
        return Err("it does not hold a dictionary of tensors".into());
    };
    let mut tensors = Vec::new();
    for (key, value) in pairs.iter() {
        match (&key.kind, &value.kind) {
            (Kind::Text(name), Kind::Tensor(tensor)) => {
                tensors.push((name.to_string(), (**tensor).clone()));
            }
            (Kind::Text(name), Kind::Dict(_)) if INNER.contains(&&**name) => {
                return dictionary(value.clone());
            }
            _ => {}
        }
    }
    if tensors.is_empty() {
        return Err("its dictionary holds no tensors".into());
    }
    Ok(tensors)
}

/// Whether numbers lie one after the other, the last axis fastest.
fn contiguous(shape: &[usize], stride: &[usize]) -> bool {
    let mut step = 1usize;
    shape.len() == stride.len()
        && shape.iter().zip(stride).rev().all(|(n, stride)| {
            let fits = *n <= 1 || *stride == step;
            step = step.saturating_mul(*n);
            fits
        })
}

/// A tensor that the pickle names.
#[derive(Clone)]
struct Tensor {
    storage: Rc<str>,
    format: Format,
    /// Numbers before the first.
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

/// A value and how deep others lie in it.
#[derive(Clone)]
struct Value {
    kind: Kind,
    depth: usize,
}

#[derive(Clone)]
enum Kind {
    /// What no tensor needs: None, numbers that are no whole ones, objects of other classes.
    Opaque,
    Whole(i64),
    Text(Rc<str>),
    /// A class or a function, by module and name.
    Named(Rc<str>),
    Tuple(Rc<Vec<Value>>),
    Dict(Rc<Vec<(Value, Value)>>),
    Storage(Rc<str>, Format),
    Tensor(Rc<Tensor>),
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self { kind, depth: 0 }
    }
}

impl Value {
    fn tuple(values: Vec<Value>) -> Result<Self, String> {
        let depth = 1 + values.iter().map(|v| v.depth).max().unwrap_or_default();
        let kind = Kind::Tuple(Rc::new(values));
        if depth > DEEPEST {
            return Err(format!("its table nests values deeper than {DEEPEST}"));
        }
        Ok(Self { kind, depth })
    }

    fn sizes(&self) -> Option<Vec<usize>> {
        match &self.kind {
            Kind::Tuple(values) => values.iter().map(Self::size).collect(),
            _ => None,
        }
    }

    fn size(&self) -> Option<usize> {
        match self.kind {
            Kind::Whole(value) => value.try_into().ok(),
            _ => None,
        }
    }
}

/// What runs a pickle: a stack, the marks on it, and values kept by number.
struct Machine<'a> {
    code: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl<'a> Machine<'a> {
    fn run(code: &'a [u8]) -> Result<Value, String> {
        let mut machine = Self {
            code,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        loop {
            match machine.array()? {
                [b'.'] => return machine.pop(),
                [op] => machine.step(op)?,
            }
        }
    }

    /// Runs one instruction; their names are those of Python's pickletools.
    fn step(&mut self, op: u8) -> Result<(), String> {
        match op {
            0x80 => drop(self.take(1)?), // PROTO
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 => self.push(Kind::Opaque), // NONE, NEWTRUE, NEWFALSE
            b'G' => {
                self.take(8)?; // BINFLOAT
                self.push(Kind::Opaque);
            }
            b'K' => {
                let [byte] = self.array()?; // BININT1
                self.push(Kind::Whole(byte.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?); // BININT2
                self.push(Kind::Whole(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?); // BININT
                self.push(Kind::Whole(value.into()));
            }
            0x8a => self.long()?, // LONG1
            b'X' => {
                let length = u32::from_le_bytes(self.array()?); // BINUNICODE
                let text = self.take(length as usize)?;
                let text = std::str::from_utf8(text).map_err(|_| "a name in it is not text")?;
                self.push(Kind::Text(text.into()));
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?); // GLOBAL
                self.push(Kind::Named(format!("{module}.{name}").into()));
            }
            b')' | b']' => self.push(Kind::Tuple(Rc::default())), // EMPTY_TUPLE, EMPTY_LIST
            b'}' => self.push(Kind::Dict(Rc::default())),
            b't' => {
                let values = self.pop_to_mark()?; // TUPLE
                self.stack.push(Value::tuple(values)?);
            }
            0x85..=0x87 => {
                let count = usize::from(op - 0x84); // TUPLE1 to TUPLE3
                let from = self.stack.len().checked_sub(count);
                let values = self.stack.split_off(from.ok_or_else(short)?);
                self.stack.push(Value::tuple(values)?);
            }
            b'a' | b'e' => self.append(op == b'e')?, // APPEND, APPENDS
            b's' | b'u' => self.set_items(op == b'u')?, // SETITEM, SETITEMS
            b'q' => {
                let [number] = self.array()?; // BINPUT
                self.keep(number.into())?;
            }
            b'r' => {
                let number = u32::from_le_bytes(self.array()?); // LONG_BINPUT
                self.keep(number)?;
            }
            b'h' => {
                let [number] = self.array()?; // BINGET
                self.recall(number.into())?;
            }
            b'j' => {
                let number = u32::from_le_bytes(self.array()?); // LONG_BINGET
                self.recall(number)?;
            }
            b'Q' => self.storage()?,   // BINPERSID
            b'R' => self.reduce()?,    // REDUCE
            b'b' => drop(self.pop()?), // BUILD: attributes, such as _metadata
            other => {
                return Err(format!(
                    "its table holds the pickle instruction {other:#04x}, which no plain \
                     dictionary of tensors needs"
                ));
            }
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind) {
        self.stack.push(kind.into());
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(short)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or_else(short)?))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.code.get(self.at..end));
        self.at = self.at.saturating_add(count);
        taken.ok_or_else(|| "its table ends too early".to_owned())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = self.code.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(length.ok_or("its table ends too early")?)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| "a name in it is not text".to_owned())
    }

    /// A whole number of up to eight bytes, the lowest first; none is 0.
    fn long(&mut self) -> Result<(), String> {
        let [length] = self.array()?;
        let bytes = self.take(length.into())?;
        let mut wide = match bytes.last() {
            Some(top) if top & 0x80 != 0 => [0xff; 8],
            _ => [0; 8],
        };
        match wide.get_mut(..bytes.len()) {
            Some(low) => low.copy_from_slice(bytes),
            None => return Err("its table holds a number of more than eight bytes".into()),
        }
        self.push(Kind::Whole(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn keep(&mut self, number: u32) -> Result<(), String> {
        let value = self.stack.last().ok_or_else(short)?;
        self.memo.insert(number, value.clone());
        Ok(())
    }

    fn recall(&mut self, number: u32) -> Result<(), String> {
        let value = self.memo.get(&number).ok_or_else(short)?;
        self.stack.push(value.clone());
        Ok(())
    }

    /// Lists matter only as sizes, which are tuples; what else is in one is dropped.
    fn append(&mut self, many: bool) -> Result<(), String> {
        if many {
            self.pop_to_mark()?;
        } else {
            self.pop()?;
        }
        Ok(())
    }

    fn set_items(&mut self, many: bool) -> Result<(), String> {
        let items = if many {
            self.pop_to_mark()?
        } else {
            let from = self.stack.len().checked_sub(2).ok_or_else(short)?;
            self.stack.split_off(from)
        };
        let (pairs, rest) = items.as_chunks::<2>();
        let dict = self.stack.last_mut().ok_or_else(short)?;
        let depth = 1 + items.iter().map(|v| v.depth).max().unwrap_or_default();
        if !rest.is_empty() || depth > DEEPEST {
            return Err("its table holds a dictionary that is not one".into());
        }
        if let Kind::Dict(known) = &mut dict.kind {
            let new = pairs
                .iter()
                .map(|[key, value]| (key.clone(), value.clone()));
            Rc::make_mut(known).extend(new);
            dict.depth = dict.depth.max(depth);
        }
        Ok(())
    }

    /// `('storage', class, number, device, length)`, which torch keeps outside the pickle.
    fn storage(&mut self) -> Result<(), String> {
        let Kind::Tuple(parts) = self.pop()?.kind else {
            return Err(short());
        };
        let [_, class, number, ..] = &parts[..] else {
            return Err(short());
        };
        let (Kind::Named(class), Kind::Text(number)) = (&class.kind, &number.kind) else {
            return Err(short());
        };
        let format = match &**class {
            "torch.FloatStorage" => Format::Plain(DType::F32),
            "torch.HalfStorage" => Format::Plain(DType::F16),
            "torch.BFloat16Storage" => Format::Plain(DType::BF16),
            other => Format::Other(other.to_owned()),
        };
        self.push(Kind::Storage(Rc::clone(number), format));
        Ok(())
    }

    /// Calls a function: of those that rebuild tensors and dictionaries what they make, of others
    /// nothing.
    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Kind::Named(name) = function.kind else {
            return Err(short());
        };
        let Kind::Tuple(arguments) = arguments.kind else {
            return Err(short());
        };
        let made = match (&*name, &arguments[..]) {
            ("collections.OrderedDict", _) => Kind::Dict(Rc::default()),
            ("torch._utils._rebuild_tensor_v2", [storage, offset, shape, stride, ..]) => {
                let Kind::Storage(number, format) = &storage.kind else {
                    return Err(short());
                };
                Kind::Tensor(Rc::new(Tensor {
                    storage: Rc::clone(number),
                    format: format.clone(),
                    offset: offset.size().ok_or_else(short)?,
                    shape: shape.sizes().ok_or_else(short)?,
                    stride: stride.sizes().ok_or_else(short)?,
                }))
            }
            ("torch._utils._rebuild_parameter", [tensor, ..]) => tensor.kind.clone(),
            _ => Kind::Opaque,
        };
        self.push(made);
        Ok(())
    }
}

/// An instruction asked for what is not there.
fn short() -> String {
    "its table is not a dictionary of tensors as PyTorch writes it".to_owned()
}
