//! `InboundService`.

use barid_bus::tenant;
use barid_domain::InboundId;
use barid_proto::{
    fault, ids,
    queue::v1::{
        GetInboundMessageRequest, InboundMessage, ListInboundMessagesRequest, ListInboundMessagesResponse, MediaPart,
        ReadInboundMediaRequest, inbound_service_server::InboundService,
    },
};
use tonic::{Code, Request, Response, Status};

use super::{State, page_size, page_start};
use crate::store::Wanted;

#[tonic::async_trait]
impl InboundService for State {
    async fn list_inbound_messages(
        &self,
        request: Request<ListInboundMessagesRequest>,
    ) -> Result<Response<ListInboundMessagesResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let size = page_size(request.page_size, 50);
        let mut wanted = Wanted { before_id: page_start(&request.page_token)?, ..Wanted::default() };
        if !request.session_id.is_empty() {
            wanted.session = Some(ids::argument("sessionId", &request.session_id)?);
        }
        if !request.from.is_empty() {
            let phone = self.phone(tenant, "from", &request.from).await?;
            let Some(contact) = self.store.contact(tenant, phone).await? else {
                return Ok(Response::new(ListInboundMessagesResponse::default()));
            };
            wanted.contact = Some(contact.id);
        }
        let mut messages = self.store.inbound_messages(tenant, wanted, size + 1).await?;
        let more = messages.len() as u64 > size;
        messages.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let next_page_token = messages.last().filter(|_| more).map(|message| message.id.clone()).unwrap_or_default();
        Ok(Response::new(ListInboundMessagesResponse { messages, next_page_token }))
    }

    async fn get_inbound_message(&self, request: Request<GetInboundMessageRequest>) -> Result<Response<InboundMessage>, Status> {
        let tenant = tenant(&request)?;
        let id = ids::resource(&request.get_ref().id)?;
        Ok(Response::new(self.store.inbound(tenant, id).await?))
    }

    async fn read_inbound_media(&self, request: Request<ReadInboundMediaRequest>) -> Result<Response<MediaPart>, Status> {
        let tenant = tenant(&request)?;
        let offset = request.get_ref().offset;
        let id: InboundId = ids::resource(&request.get_ref().id)?;
        let (session, media) = self.store.inbound_media(tenant, id).await?;
        let Some(media) = media else {
            return Err(fault(Code::FailedPrecondition, "NO_MEDIA", "this message has no file, or the customer took it back"));
        };
        let part = self.sessions.fetch(tenant, session, media.pointer, offset).await?;
        let end = offset.saturating_add(part.data.len() as u64);
        if part.data.is_empty() && end < part.total_size {
            return Err(fault(Code::Unavailable, "MEDIA_INCOMPLETE", "a part of the file is missing at the moment; try again"));
        }
        Ok(Response::new(MediaPart {
            next_offset: if end < part.total_size { end } else { 0 },
            data: part.data,
            total_size: part.total_size,
            mime_type: media.mime_type,
            filename: media.filename,
        }))
    }
}
