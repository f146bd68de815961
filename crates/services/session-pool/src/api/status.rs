//! `PoolStatusService`: what operators see.

use barid_proto::{
    session_pool::v1::{GetPoolStatusRequest, PoolStatus, Replica, pool_status_service_server::PoolStatusService},
    timestamp,
};
use prost::Message;
use tonic::{Request, Response, Status};

use super::State;

#[tonic::async_trait]
impl PoolStatusService for State {
    async fn get_pool_status(&self, _: Request<GetPoolStatusRequest>) -> Result<Response<PoolStatus>, Status> {
        let mut replicas = Vec::new();
        for heard in self.store.replicas(self.ttl).await? {
            // A replica of another version may say what is not understood here.
            let said = Replica::decode(heard.status.as_slice()).unwrap_or_default();
            replicas.push(Replica {
                id: heard.id.to_string(),
                heartbeat_time: Some(timestamp(heard.at)),
                owned: u32::try_from(heard.owned).unwrap_or(u32::MAX),
                ..said
            });
        }
        Ok(Response::new(PoolStatus { replicas }))
    }
}
