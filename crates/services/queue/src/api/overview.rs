//! `QueueService`.

use barid_bus::tenant;
use barid_proto::queue::v1::{GetQueueStatusRequest, QueueStatus, queue_service_server::QueueService};
use tonic::{Request, Response, Status};

use super::State;

#[tonic::async_trait]
impl QueueService for State {
    async fn get_queue_status(&self, request: Request<GetQueueStatusRequest>) -> Result<Response<QueueStatus>, Status> {
        let tenant = tenant(&request)?;
        let profile = self.directory.profile(tenant).await?;
        let day = profile.day(self.store.now());
        Ok(Response::new(self.store.queue_status(tenant, day, profile.daily_quota).await?))
    }
}
