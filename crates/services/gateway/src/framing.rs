//! Cuts a call with many items into frames that the bus carries, and puts the answers together again. Works on encoded messages: protobuf
//! joins lists when encodings are joined, so the answers' outcomes are in order without being decoded.

use barid_proto::{
    access::{Framing, Method},
    fault, wire,
};
use bytes::Bytes;
use prost::Message;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value};
use tonic::{Code, Status};

/// Most items in a frame.
const ITEMS: usize = 250;
/// Bytes of items that close a frame.
const BYTES: usize = 400 * 1024;
/// Most bytes of one item: the bus carries it in a frame of its own.
const ITEM_BYTES: usize = 800 * 1024;

/// A part of a call.
pub(crate) struct Frame {
    pub request: Bytes,
    /// Index of its first item.
    pub offset: usize,
    pub items: usize,
}

/// Gathers items into frames.
pub(crate) struct Cutter {
    items_field: u32,
    offset_field: u32,
    most: usize,
    /// What every frame begins with.
    common: Vec<u8>,
    frames: Vec<Frame>,
    open: Vec<u8>,
    open_items: usize,
    taken: usize,
}

impl Cutter {
    /// A cutter for the requests of `method`, which the framing belongs to.
    pub(crate) fn new(method: &Method, framing: &Framing) -> Result<Self, Status> {
        let field = |name: &str| method.descriptor.input().get_field_by_name(name).map(|field| field.number());
        let (Some(items_field), Some(offset_field)) = (field(&framing.items), field(&framing.offset)) else {
            return Err(Status::internal("the framing of this method names fields that it does not have"));
        };
        Ok(Self {
            items_field,
            offset_field,
            most: framing.max_items as usize,
            common: Vec::new(),
            frames: Vec::new(),
            open: Vec::new(),
            open_items: 0,
            taken: 0,
        })
    }

    /// Takes a whole request.
    pub(crate) fn request(mut self, request: Bytes) -> Result<Vec<Frame>, Status> {
        let mut items = Vec::new();
        for field in wire::fields(request) {
            let field = field.map_err(|error| fault(Code::InvalidArgument, "INVALID_ARGUMENT", error.to_string()))?;
            if field.number == self.items_field {
                items.push(field.value);
            } else if field.number != self.offset_field {
                self.common.extend_from_slice(&field.encoded);
            }
        }
        for item in items {
            self.item(&item)?;
        }
        self.finish()
    }

    /// A field of the call, such as its tenant.
    pub(crate) fn set(&mut self, number: u32, value: &str) {
        wire::put_bytes(number, value.as_bytes(), &mut self.common);
    }

    /// Takes one item.
    pub(crate) fn item(&mut self, item: &[u8]) -> Result<(), Status> {
        if self.taken == self.most {
            return Err(fault(
                Code::InvalidArgument,
                "TOO_MANY_ITEMS",
                format!("the call has more than {} items; make several calls", self.most),
            ));
        }
        if item.len() > ITEM_BYTES {
            let says = format!("item {} has {} bytes; give at most {ITEM_BYTES}", self.taken, item.len());
            return Err(fault(Code::InvalidArgument, "ITEM_TOO_LARGE", says));
        }
        if self.open_items == ITEMS || (self.open_items > 0 && self.open.len() + item.len() > BYTES) {
            self.close();
        }
        wire::put_bytes(self.items_field, item, &mut self.open);
        self.open_items += 1;
        self.taken += 1;
        Ok(())
    }

    /// The frames of everything that was taken.
    pub(crate) fn finish(mut self) -> Result<Vec<Frame>, Status> {
        if self.open_items > 0 {
            self.close();
        }
        if self.frames.is_empty() {
            return Err(fault(Code::InvalidArgument, "NO_ITEMS", "the call has no items; give at least one"));
        }
        Ok(self.frames)
    }

    fn close(&mut self) {
        let offset = self.taken - self.open_items;
        let mut request = self.common.clone();
        wire::put_varint(self.offset_field, offset as u64, &mut request);
        request.append(&mut self.open);
        self.frames.push(Frame { request: request.into(), offset, items: self.open_items });
        self.open_items = 0;
    }
}

/// The answer of a frame that failed after others were taken: an outcome with the error for each of its items.
pub(crate) fn failed_outcomes(output: &MessageDescriptor, frame: &Frame, status: &Status) -> Option<Vec<u8>> {
    let outcomes = output.fields().find(|field| field.is_list())?;
    let Kind::Message(outcome) = outcomes.kind() else { return None };
    let mut answer = DynamicMessage::new(output.clone());
    let items = (frame.offset..frame.offset + frame.items).map(|index| {
        let mut item = DynamicMessage::new(outcome.clone());
        item.set_field_by_name("index", Value::U32(u32::try_from(index).ok()?));
        let error = outcome.get_field_by_name("error")?;
        let Kind::Message(rpc_status) = error.kind() else { return None };
        let mut detail = DynamicMessage::decode(rpc_status.clone(), status.details()).unwrap_or_else(|_| DynamicMessage::new(rpc_status));
        detail.set_field_by_name("code", Value::I32(status.code().into()));
        detail.set_field_by_name("message", Value::String(status.message().to_owned()));
        debug_assert_eq!(detail.descriptor().full_name(), "google.rpc.Status");
        item.set_field(&error, Value::Message(detail));
        Some(Value::Message(item))
    });
    answer.set_field(&outcomes, Value::List(items.collect::<Option<_>>()?));
    Some(answer.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use barid_proto::{
        access::Table,
        descriptor_pool,
        queue::v1::{BatchSendMessagesRequest, BatchSendMessagesResponse, SendMessageRequest, batch_outcome::Outcome},
    };

    use super::*;

    fn method(table: &Table) -> (Method, Framing) {
        let method = table.get("/barid.queue.v1.MessageService/BatchSendMessages").expect("the method").clone();
        let framing = method.framing.clone().expect("its framing");
        (method, framing)
    }

    fn request(count: usize) -> BatchSendMessagesRequest {
        let message = |index: usize| SendMessageRequest { recipient: format!("+2012{index:08}"), ..SendMessageRequest::default() };
        BatchSendMessagesRequest {
            tenant_id: "ten_x".into(),
            messages: (0..count).map(message).collect(),
            idempotency_key: "run".into(),
            offset: 77,
            ..BatchSendMessagesRequest::default()
        }
    }

    fn cut(count: usize) -> Result<Vec<Frame>, Status> {
        let (method, framing) = method(&Table::new(&descriptor_pool()));
        Cutter::new(&method, &framing)?.request(request(count).encode_to_vec().into())
    }

    #[test]
    fn frames_hold_every_item_once_and_what_belongs_to_the_call() {
        let whole = request(1001);
        let mut seen = Vec::new();
        for frame in cut(1001).expect("frames") {
            let part = BatchSendMessagesRequest::decode(frame.request).expect("a request");
            assert_eq!((part.tenant_id.as_str(), part.idempotency_key.as_str()), ("ten_x", "run"));
            assert_eq!((part.offset as usize, frame.offset, frame.items), (seen.len(), seen.len(), part.messages.len()));
            seen.extend(part.messages);
        }
        assert_eq!(seen, whole.messages);
    }

    #[test]
    fn too_many_and_none_are_errors() {
        assert_eq!(cut(0).err().expect("none").code(), Code::InvalidArgument);
        assert_eq!(cut(10_001).err().expect("too many").code(), Code::InvalidArgument);
        assert_eq!(cut(10_000).expect("just enough").len(), 40);
    }

    #[test]
    fn a_failed_frame_answers_for_each_of_its_items() {
        let (method, _) = method(&Table::new(&descriptor_pool()));
        let frame = Frame { request: Bytes::new(), offset: 250, items: 2 };
        let status = fault(Code::Unavailable, "GONE", "nobody there");
        let bytes = failed_outcomes(&method.descriptor.output(), &frame, &status).expect("outcomes");
        let answer = BatchSendMessagesResponse::decode(bytes.as_slice()).expect("an answer");
        assert_eq!(answer.outcomes.iter().map(|outcome| outcome.index).collect::<Vec<_>>(), [250, 251]);
        assert!(matches!(&answer.outcomes[0].outcome, Some(Outcome::Error(error)) if error.code == 14 && error.details.len() == 1));
    }
}
