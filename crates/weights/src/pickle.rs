//! Python pickles of tensor checkpoints, read by an interpreter that executes nothing.
//!
//! A pickle is a program. This interpreter supports the opcodes that `torch.save` writes and the few names that tensor
//! checkpoints need; any other opcode or name is an error, never a call. Names are not imported: each is a
//! variant of [`Global`], and "calling" one builds plain data. Opcodes are those of Python's `pickletools`.

use std::collections::HashMap;

use crate::Error;
use crate::cursor::Cursor;

/// Limits memory: a checkpoint of 1300 tensors takes 60 000 operations.
const MAX_OPERATIONS: usize = 500_000;
/// Maximum number of dimensions, above that of any tensor.
const MAX_RANK: usize = 8;

/// A value; containers are nodes of the [`Heap`], so that deep nesting and cycles are harmless.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, little endian.
    BigInt(&'a [u8]),
    Float,
    Text(&'a str),
    Bytes,
    Global(Global),
    Node(usize),
}

/// The names that a pickle may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    Storage(Element),
}

/// Element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Half,
    Float,
    Bfloat16,
    Double,
    Char,
    Short,
    Int,
    Long,
    Byte,
    Bool,
}

impl Element {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Char | Self::Byte | Self::Bool => 1,
            Self::Half | Self::Bfloat16 | Self::Short => 2,
            Self::Float | Self::Int => 4,
            Self::Double | Self::Long => 8,
        }
    }
}

/// The target of a [`Value::Node`].
#[derive(Debug)]
pub(crate) enum Node<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
    Storage(Storage<'a>),
    Tensor(Tensor<'a>),
}

/// A buffer of elements in the file, identified by its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storage<'a> {
    pub(crate) element: Element,
    pub(crate) key: &'a str,
}

/// A view of a storage.
#[derive(Clone, Debug)]
pub(crate) struct Tensor<'a> {
    pub(crate) storage: Storage<'a>,
    /// First element of the view.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    /// Elements from one index to the next, per dimension.
    pub(crate) strides: Vec<usize>,
}

/// All containers of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Heap<'a> {
    nodes: Vec<Node<'a>>,
}

impl<'a> Heap<'a> {
    fn add(&mut self, node: Node<'a>) -> Value<'a> {
        self.nodes.push(node);
        Value::Node(self.nodes.len() - 1)
    }

    pub(crate) fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(index) => self.nodes.get(index),
            _ => None,
        }
    }

    /// Entries of a dictionary.
    pub(crate) fn map(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.node(value)? {
            Node::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Value of a dictionary's key.
    pub(crate) fn get(&self, map: Value<'a>, key: &str) -> Option<Value<'a>> {
        let entries = self.map(map)?;
        Some(entries.iter().rev().find(|(found, _)| *found == Value::Text(key))?.1)
    }

    /// Elements of a tuple or list.
    pub(crate) fn sequence(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.node(value)? {
            Node::Tuple(values) | Node::List(values) => Some(values),
            _ => None,
        }
    }

    /// All referenced storages.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Storage<'a>> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    fn sizes(&self, value: Value<'a>) -> Option<Vec<usize>> {
        let values = self.sequence(value).filter(|values| values.len() <= MAX_RANK)?;
        values.iter().map(|&value| size(value)).collect()
    }
}

/// An integer that is no less than 0.
fn size(value: Value<'_>) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}

/// Reads one pickle from where the cursor stands to its end and gives its value.
pub(crate) fn read<'a>(cursor: &mut Cursor<'a>) -> Result<(Value<'a>, Heap<'a>), Error> {
    let mut machine = Machine { stack: vec![], marks: vec![], memo: HashMap::new(), heap: Heap::default() };
    for _ in 0..MAX_OPERATIONS {
        let opcode = cursor.u8("a pickle")?;
        if opcode == b'.' {
            let value = machine.stack.pop().filter(|_| machine.stack.is_empty() && machine.marks.is_empty());
            let value =
                value.ok_or_else(|| cursor.malformed("the pickle does not end with exactly one value"))?;
            return Ok((value, machine.heap));
        }
        machine.step(opcode, cursor)?;
    }
    Err(cursor.malformed(format!("the pickle has more than {MAX_OPERATIONS} operations")))
}

struct Machine<'a> {
    stack: Vec<Value<'a>>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Value<'a>>,
    heap: Heap<'a>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8, cursor: &mut Cursor<'a>) -> Result<(), Error> {
        let value =
            match opcode {
                // PROTO, FRAME
                0x80 => {
                    let version = cursor.u8("a pickle")?;
                    if !(2..=5).contains(&version) {
                        return Err(cursor.malformed(format!("unknown pickle protocol {version}")));
                    }
                    return Ok(());
                }
                0x95 => return cursor.skip(8, "a pickle's frame"),
                // MARK, and the memo: BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
                b'(' => {
                    self.marks.push(self.stack.len());
                    return Ok(());
                }
                b'q' => return self.memoize(cursor.u8("a pickle")?.into(), cursor),
                b'r' => return self.memoize(cursor.size("a pickle")?, cursor),
                0x94 => return self.memoize(self.memo.len(), cursor),
                b'h' => self.recall(cursor.u8("a pickle")?.into(), cursor)?,
                b'j' => self.recall(cursor.size("a pickle")?, cursor)?,
                // NONE, NEWTRUE, NEWFALSE
                b'N' => Value::None,
                0x88 => Value::Bool(true),
                0x89 => Value::Bool(false),
                // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
                b'J' => Value::Int((cursor.u32("a number")? as i32).into()),
                b'K' => Value::Int(cursor.u8("a number")?.into()),
                b'M' => Value::Int(cursor.u16("a number")?.into()),
                0x8a => long(usize::from(cursor.u8("a number")?), cursor)?,
                0x8b => long(cursor.size("a number")?, cursor)?,
                b'G' => cursor.skip(8, "a number").map(|()| Value::Float)?,
                // SHORT_BINUNICODE, BINUNICODE, SHORT_BINSTRING, BINSTRING, SHORT_BINBYTES, BINBYTES
                0x8c | b'U' => {
                    let length = cursor.u8("a string")?;
                    Value::Text(cursor.text(length.into(), "a string")?)
                }
                b'X' | b'T' => {
                    let length = cursor.size("a string")?;
                    Value::Text(cursor.text(length, "a string")?)
                }
                b'C' => {
                    let length = cursor.u8("bytes")?;
                    cursor.skip(length.into(), "bytes").map(|()| Value::Bytes)?
                }
                b'B' => {
                    let length = cursor.size("bytes")?;
                    cursor.skip(length, "bytes").map(|()| Value::Bytes)?
                }
                // EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT
                b')' => self.heap.add(Node::Tuple(vec![])),
                b']' => self.heap.add(Node::List(vec![])),
                b'}' => self.heap.add(Node::Map(vec![])),
                // TUPLE1, TUPLE2, TUPLE3, TUPLE
                0x85..=0x87 => {
                    let length = usize::from(opcode - 0x84);
                    let height = self.stack.len().checked_sub(length).ok_or_else(|| underflow(cursor))?;
                    let values = self.stack.split_off(height);
                    self.heap.add(Node::Tuple(values))
                }
                b't' => {
                    let values = self.pop_to_mark(cursor)?;
                    self.heap.add(Node::Tuple(values))
                }
                // APPEND, APPENDS, SETITEM, SETITEMS
                b'a' => {
                    let value = self.pop(cursor)?;
                    return self.append(vec![value], cursor);
                }
                b'e' => {
                    let values = self.pop_to_mark(cursor)?;
                    return self.append(values, cursor);
                }
                b's' => {
                    let (value, key) = (self.pop(cursor)?, self.pop(cursor)?);
                    return self.set(vec![key, value], cursor);
                }
                b'u' => {
                    let values = self.pop_to_mark(cursor)?;
                    return self.set(values, cursor);
                }
                // GLOBAL, STACK_GLOBAL
                b'c' => {
                    let (module, name) = (line(cursor)?, line(cursor)?);
                    Value::Global(global(module, name, cursor)?)
                }
                0x93 => match (self.pop(cursor)?, self.pop(cursor)?) {
                    (Value::Text(name), Value::Text(module)) => Value::Global(global(module, name, cursor)?),
                    _ => return Err(cursor.malformed("a pickle's global is not named by text")),
                },
                // REDUCE, BUILD, BINPERSID
                b'R' => {
                    let (arguments, callable) = (self.pop(cursor)?, self.pop(cursor)?);
                    self.reduce(callable, arguments, cursor)?
                }
                b'b' => {
                    // The attributes of a dictionary (a state dict's `_metadata`) are not needed.
                    let _state = self.pop(cursor)?;
                    let target = self.stack.last().copied().ok_or_else(|| underflow(cursor))?;
                    return match self.heap.map(target) {
                        Some(_) => Ok(()),
                        None => Err(cursor
                            .malformed("a pickle sets attributes of an object that is not a dictionary")),
                    };
                }
                b'Q' => {
                    let id = self.pop(cursor)?;
                    self.storage(id).ok_or_else(|| {
                        cursor.malformed("a pickle refers to something that is not a plain storage")
                    })?
                }
                _ => {
                    return Err(cursor.malformed(format!(
                    "pickle opcode 0x{opcode:02x} has no place in a tensor checkpoint and was not executed"
                )));
                }
            };
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self, cursor: &Cursor<'_>) -> Result<Value<'a>, Error> {
        self.stack.pop().ok_or_else(|| underflow(cursor))
    }

    fn pop_to_mark(&mut self, cursor: &Cursor<'_>) -> Result<Vec<Value<'a>>, Error> {
        let mark =
            self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or_else(|| underflow(cursor))?;
        Ok(self.stack.split_off(mark))
    }

    fn memoize(&mut self, index: usize, cursor: &Cursor<'_>) -> Result<(), Error> {
        let value = self.stack.last().copied().ok_or_else(|| underflow(cursor))?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&self, index: usize, cursor: &Cursor<'_>) -> Result<Value<'a>, Error> {
        self.memo
            .get(&index)
            .copied()
            .ok_or_else(|| cursor.malformed(format!("a pickle's memo has no entry {index}")))
    }

    fn append(&mut self, values: Vec<Value<'a>>, cursor: &Cursor<'_>) -> Result<(), Error> {
        match self.stack.last() {
            Some(&Value::Node(index)) if let Node::List(list) = &mut self.heap.nodes[index] => {
                list.extend(values);
                Ok(())
            }
            _ => Err(cursor.malformed("a pickle appends to something that is not a list")),
        }
    }

    fn set(&mut self, values: Vec<Value<'a>>, cursor: &Cursor<'_>) -> Result<(), Error> {
        let (pairs, rest) = values.as_chunks();
        match self.stack.last() {
            Some(&Value::Node(index))
                if rest.is_empty()
                    && let Node::Map(map) = &mut self.heap.nodes[index] =>
            {
                map.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(cursor.malformed(
                "a pickle sets items of something that is not a dictionary, or a key without a value",
            )),
        }
    }

    /// The result of `callable(*arguments)`.
    fn reduce(
        &mut self,
        callable: Value<'a>,
        arguments: Value<'a>,
        cursor: &Cursor<'_>,
    ) -> Result<Value<'a>, Error> {
        let built = match (callable, self.heap.sequence(arguments).unwrap_or_default()) {
            (Value::Global(Global::OrderedDict), []) => Some(self.heap.add(Node::Map(vec![]))),
            (Value::Global(Global::RebuildTensor), &[storage, offset, shape, strides, ..]) => {
                self.tensor(storage, offset, shape, strides).map(|tensor| self.heap.add(Node::Tensor(tensor)))
            }
            (Value::Global(Global::RebuildParameter), &[tensor, ..]) => Some(tensor),
            (Value::Global(Global::Size), &[sizes]) => Some(sizes),
            _ => None,
        };
        built.ok_or_else(|| {
            cursor.malformed(format!("a pickle calls {callable:?} with arguments it does not take"))
        })
    }

    fn tensor(
        &self,
        storage: Value<'a>,
        offset: Value<'a>,
        shape: Value<'a>,
        strides: Value<'a>,
    ) -> Option<Tensor<'a>> {
        let Node::Storage(storage) = *self.heap.node(storage)? else { return None };
        let (shape, strides) = (self.heap.sizes(shape)?, self.heap.sizes(strides)?);
        (shape.len() == strides.len()).then_some(Tensor { storage, offset: size(offset)?, shape, strides })
    }

    /// `('storage', type, key, device, number of elements)`, and in the older format whether it is a view, which is refused.
    fn storage(&mut self, id: Value<'a>) -> Option<Value<'a>> {
        let storage = match self.heap.sequence(id)? {
            &[
                Value::Text("storage"),
                Value::Global(Global::Storage(element)),
                Value::Text(key),
                Value::Text(_),
                count,
                ref view @ ..,
            ] if matches!(view, [] | [Value::None]) => size(count).map(|_| Storage { element, key })?,
            _ => return None,
        };
        Some(self.heap.add(Node::Storage(storage)))
    }
}

fn underflow(cursor: &Cursor<'_>) -> Error {
    cursor.malformed("a pickle takes more from its stack than it has")
}

/// A little-endian two's complement integer.
fn long<'a>(length: usize, cursor: &mut Cursor<'a>) -> Result<Value<'a>, Error> {
    let bytes = cursor.take(length, "a number")?;
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Ok(Value::Int(i64::from_le_bytes(wide)))
        }
        None => Ok(Value::BigInt(bytes)),
    }
}

/// Text up to the end of the line.
fn line<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Error> {
    const LONGEST: usize = 256;
    let length = cursor.look(LONGEST)?.iter().position(|&byte| byte == b'\n');
    let length = length.ok_or_else(|| cursor.malformed("a pickle's name has no end"))?;
    let text = cursor.text(length, "a name")?;
    cursor.skip(1, "a name")?;
    Ok(text)
}

/// The names that tensor checkpoints need, and no others.
fn global(module: &str, name: &str, cursor: &Cursor<'_>) -> Result<Global, Error> {
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("torch", "Size") => Global::Size,
        ("torch" | "torch.cuda", "HalfStorage") => Global::Storage(Element::Half),
        ("torch" | "torch.cuda", "FloatStorage") => Global::Storage(Element::Float),
        ("torch" | "torch.cuda", "BFloat16Storage") => Global::Storage(Element::Bfloat16),
        ("torch" | "torch.cuda", "DoubleStorage") => Global::Storage(Element::Double),
        ("torch" | "torch.cuda", "CharStorage") => Global::Storage(Element::Char),
        ("torch" | "torch.cuda", "ShortStorage") => Global::Storage(Element::Short),
        ("torch" | "torch.cuda", "IntStorage") => Global::Storage(Element::Int),
        ("torch" | "torch.cuda", "LongStorage") => Global::Storage(Element::Long),
        ("torch" | "torch.cuda", "ByteStorage") => Global::Storage(Element::Byte),
        ("torch" | "torch.cuda", "BoolStorage") => Global::Storage(Element::Bool),
        _ => {
            return Err(cursor.malformed(format!(
                "the pickle names {module:?} {name:?}, which no tensor checkpoint needs; it was not looked up"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::opened::Opened;

    /// What a pickle's value looks like, or why it is refused.
    fn run(bytes: &[u8]) -> Result<String, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let file = Opened::open(file.path()).unwrap();
        let (value, heap) = read(&mut Cursor::new(&file, 0)).map_err(|error| error.to_string())?;
        let node = heap.node(value);
        Ok(node.map_or_else(|| format!("{value:?}"), |node| format!("{node:?}")))
    }

    #[test]
    fn numbers_texts_and_containers_are_read() {
        for (pickle, expected) in [
            (b"\x80\x02K\x07.".as_slice(), "Int(7)"),
            (b"\x80\x02M\x01\x02.", "Int(513)"),
            (b"\x80\x02J\xfe\xff\xff\xff.", "Int(-2)"),
            (b"\x80\x02\x8a\x00.", "Int(0)"),
            (b"\x80\x02\x8a\x02\x00\xff.", "Int(-256)"),
            (b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "BigInt([0, 0, 0, 0, 0, 0, 0, 0, 1])"),
            (b"\x80\x02(K\x01\x88Nt.", "Tuple([Int(1), Bool(true), None])"),
            (b"\x80\x02K\x01K\x02\x86.", "Tuple([Int(1), Int(2)])"),
            (b"\x80\x02](K\x01K\x02e.", "List([Int(1), Int(2)])"),
            (b"\x80\x02}U\x01aq\x05h\x05s.", "Map([(Text(\"a\"), Text(\"a\"))])"),
            (b"\x80\x04\x95\x05\0\0\0\0\0\0\0\x8c\x02\xc3\xa9\x94.", "Text(\"é\")"),
            (b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R.", "Map([])"),
            // A list that holds itself.
            (b"\x80\x02]q\x00h\x00a.", "List([Node(0)])"),
        ] {
            assert_eq!(run(pickle).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (pickle, reason) in [
            (
                b"\x80\x02cos\nsystem\n(U\x02lstR.".as_slice(),
                "\"os\" \"system\", which no tensor checkpoint needs",
            ),
            (b"\x80\x02cbuiltins\neval\n.", "\"builtins\" \"eval\""),
            (b"\x80\x02ctorch\nload\n.", "\"torch\" \"load\""),
            // INST, OBJ, NEWOBJ, EXT1, PERSID, REDUCE's text form
            (b"\x80\x02(U\x02lsios\nsystem\n.", "opcode 0x69"),
            (b"\x80\x02(o.", "opcode 0x6f"),
            (b"\x80\x02)\x81.", "opcode 0x81"),
            (b"\x80\x02\x82\x01.", "opcode 0x82"),
            (b"\x80\x02Pid\n.", "opcode 0x50"),
            (b"\x80\x07N.", "protocol 7"),
            (b"\x80\x02.", "exactly one value"),
            (b"\x80\x02NN.", "exactly one value"),
            (b"\x80\x02N", "ends inside a pickle"),
            (b"\x80\x02X\xff\xff\xff\xffab.", "ends inside a string"),
            (b"\x80\x02U\x01\xff.", "not UTF-8"),
            (b"\x80\x02h\x00.", "no entry 0"),
            (b"\x80\x02q\x00.", "more from its stack"),
            (b"\x80\x02\x85.", "more from its stack"),
            (b"\x80\x02t.", "more from its stack"),
            (b"\x80\x02K\x01K\x02a.", "not a list"),
            (b"\x80\x02}(K\x01u.", "a key without a value"),
            (b"\x80\x02]K\x01b.", "not a dictionary"),
            (b"\x80\x02K\x01K\x02R.", "does not take"),
            (b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.", "does not take"),
            (b"\x80\x02K\x01Q.", "not a plain storage"),
            (b"\x80\x02(U\x06modulectorch\nHalfStorage\nU\x010U\x03cpuK\x04tQ.", "not a plain storage"),
        ] {
            let found = run(pickle).unwrap_err();
            assert!(found.contains(reason), "{found} should say {reason}");
        }
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let deep = [b"\x80\x02)".as_slice(), &[0x85; 400_000], b"."].concat();
        assert_eq!(run(&deep).unwrap(), "Tuple([Node(399999)])");
        let long = [b"\x80\x02".as_slice(), &vec![b'N'; MAX_OPERATIONS + 1], b"."].concat();
        assert!(run(&long).unwrap_err().contains("operations"));
    }

    proptest! {
        /// Opcodes that the interpreter supports, in any order, with any operands.
        #[test]
        fn no_pickle_panics(
            steps in prop::collection::vec((prop::sample::select(
                b"\x80\x95(qr\x94hjN\x88\x89JKM\x8a\x8bG\x8cUXTCB)]}\x85\x86\x87taesuc\x93RbQ.".to_vec()
            ), prop::collection::vec(0u8..4, 0..5)), 0..60)
        ) {
            let bytes: Vec<u8> = steps.into_iter().flat_map(|(opcode, operands)| [vec![opcode], operands].concat()).collect();
            let _ = run(&bytes);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = run(&bytes);
        }
    }
}
