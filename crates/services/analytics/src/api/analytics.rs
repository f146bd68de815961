//! `AnalyticsService`.

use barid_bus::tenant;
use barid_proto::analytics::v1::{
    Dashboard, GetDashboardRequest, Granularity, ListCountsRequest, ListCountsResponse, analytics_service_server::AnalyticsService,
};
use tonic::{Request, Response, Status};

use super::State;
use crate::{
    days::{self, Range},
    figures,
    store::Width,
};

#[tonic::async_trait]
impl AnalyticsService for State {
    async fn get_dashboard(&self, request: Request<GetDashboardRequest>) -> Result<Response<Dashboard>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let zone = self.directory.time_zone(tenant).await?;
        let range = Range::read(&request.first_day, &request.last_day, zone, self.clock.now(), days::MOST)?;
        let counted = self.store.counted(tenant, range).await?;
        Ok(Response::new(figures::dashboard(range, counted)))
    }

    async fn list_counts(&self, request: Request<ListCountsRequest>) -> Result<Response<ListCountsResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let (width, most) = match request.granularity() {
            Granularity::Hour => (Width::Hour, days::MOST_BY_HOUR),
            Granularity::Day | Granularity::Unspecified => (Width::Day, days::MOST),
        };
        let zone = self.directory.time_zone(tenant).await?;
        let range = Range::read(&request.first_day, &request.last_day, zone, self.clock.now(), most)?;
        let counts = self.store.counts(tenant, range, width).await?;
        Ok(Response::new(ListCountsResponse { counts }))
    }
}
