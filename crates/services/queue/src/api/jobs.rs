//! `JobService`.

use barid_bus::tenant;
use barid_domain::{JobId, TenantId};
use barid_proto::{
    Violations, fault, ids,
    queue::v1::{
        CancelJobRequest, CreateJobRequest, GetJobRequest, Job, JobProgress, ListJobsRequest, ListJobsResponse, PauseJobRequest,
        ResumeJobRequest, job_service_server::JobService,
    },
    timestamp,
};
use tonic::{Code, Request, Response, Status};

use super::{State, page_size, page_start};
use crate::store::{JobRow, JobState};

#[tonic::async_trait]
impl JobService for State {
    async fn create_job(&self, request: Request<CreateJobRequest>) -> Result<Response<Job>, Status> {
        let tenant = tenant(&request)?;
        let CreateJobRequest { display_name, idempotency_key: key, .. } = request.into_inner();
        if display_name.trim().is_empty() {
            return Err(Violations::one("displayName", "required", "is empty; say what the job is about"));
        }
        Ok(Response::new(to_proto(tenant, self.store.create_job(tenant, display_name, Some(key).filter(|key| !key.is_empty())).await?)))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<Job>, Status> {
        let tenant = tenant(&request)?;
        let id = ids::resource(&request.get_ref().id)?;
        Ok(Response::new(to_proto(tenant, self.store.job(tenant, id).await?)))
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let size = page_size(request.page_size, 100);
        let mut rows = self.store.jobs(tenant, page_start(&request.page_token)?, size + 1).await?;
        let more = rows.len() as u64 > size;
        rows.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let next_page_token = rows.last().filter(|_| more).map(|row| row.id.to_string()).unwrap_or_default();
        let jobs = rows.into_iter().map(|row| to_proto(tenant, row)).collect();
        Ok(Response::new(ListJobsResponse { jobs, next_page_token }))
    }

    async fn pause_job(&self, request: Request<PauseJobRequest>) -> Result<Response<Job>, Status> {
        let tenant = tenant(&request)?;
        self.steer(tenant, &request.get_ref().id, JobState::Paused).await
    }

    async fn resume_job(&self, request: Request<ResumeJobRequest>) -> Result<Response<Job>, Status> {
        let tenant = tenant(&request)?;
        self.steer(tenant, &request.get_ref().id, JobState::Running).await
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Result<Response<Job>, Status> {
        let tenant = tenant(&request)?;
        self.steer(tenant, &request.get_ref().id, JobState::Cancelled).await
    }
}

impl State {
    async fn steer(&self, tenant: TenantId, id: &str, to: JobState) -> Result<Response<Job>, Status> {
        let id: JobId = ids::resource(id)?;
        if self.store.steer_job(tenant, id, to).await?.is_err() {
            let says = "the job is CANCELLED for good and can be neither paused nor resumed; make a new job";
            return Err(fault(Code::FailedPrecondition, "WRONG_STATE", says));
        }
        Ok(Response::new(to_proto(tenant, self.store.job(tenant, id).await?)))
    }
}

fn to_proto(tenant: TenantId, row: JobRow) -> Job {
    let progress = row.progress.into_iter().map(|(state, messages)| JobProgress { state: state.into(), messages });
    Job {
        id: row.id.to_string(),
        tenant_id: tenant.to_string(),
        display_name: row.display_name,
        state: row.state as i32,
        reconciling: !row.settled,
        total: row.total,
        progress: progress.collect(),
        create_time: Some(timestamp(row.created_at)),
        update_time: Some(timestamp(row.updated_at)),
    }
}
