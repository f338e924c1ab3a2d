//! What Grafana asks: queries, "Save & test", resources, and to end.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;
use futures::stream::{self, BoxStream, StreamExt as _};
use plugin_protocol::go_plugin::Empty;
use plugin_protocol::go_plugin::grpc_controller_server::GrpcController;
use plugin_protocol::pluginv2::check_health_response::HealthStatus;
use plugin_protocol::pluginv2::data_server::Data;
use plugin_protocol::pluginv2::diagnostics_server::Diagnostics;
use plugin_protocol::pluginv2::resource_server::Resource;
use plugin_protocol::pluginv2::{
    CallResourceRequest, CallResourceResponse, CheckHealthRequest, CheckHealthResponse, DataQuery,
    DataResponse, PluginContext, QueryDataRequest, QueryDataResponse,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use crate::behaviour::{Behaviour, Defect};
use crate::failure::{Class, Failure};
use crate::flight::Operation;
use crate::plugin::frame::frames;
use crate::plugin::instances::Instances;
use crate::stdio::End;

/// The services of the plugin.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub(crate) instances: Arc<Instances>,
    pub(crate) behaviour: Behaviour,
    pub(crate) end: mpsc::Sender<End>,
}

/// What an operation came to: its frames.
type Answer = Result<Vec<Vec<u8>>, Failure>;

impl Plugin {
    fn has(&self, defect: Defect) -> bool {
        self.behaviour.has(defect)
    }

    /// What a call comes to, or what a defect makes of it.
    async fn answer(
        &self,
        context: Option<PluginContext>,
        headers: HashMap<String, String>,
        operation: Operation,
    ) -> Answer {
        let end = match self.behaviour.defect {
            Some(Defect::Null) => return Err(Failure::new(Class::Protocol, "not implemented")),
            Some(Defect::Liar) => return Ok(Vec::new()),
            Some(Defect::Crash) => Some(End::Aborted),
            Some(Defect::EarlyExit) => Some(End::ExitedEarly),
            Some(Defect::Segv) => Some(End::Segfaulted),
            Some(Defect::Silent) => return std::future::pending().await,
            _ => None,
        };
        if let Some(end) = end {
            // The process ends before there is an answer.
            let _ = self.end.send(end).await;
            return std::future::pending().await;
        }
        let (session, mut user) = self.instances.of(context)?;
        if let Some(user) = &mut user {
            user.headers.extend(headers);
        }
        frames(&session.run(&operation, user, None).await?)
    }

    async fn query(
        &self,
        context: Option<PluginContext>,
        headers: HashMap<String, String>,
        query: &DataQuery,
    ) -> DataResponse {
        let json: Value = serde_json::from_slice(&query.json).unwrap_or_default();
        // Older dashboards hold `queryText`.
        let names: &[&str] = match self.behaviour.defect {
            Some(Defect::OldFieldUnknown) => &["query"],
            Some(Defect::OldFieldWins) => &["queryText", "query"],
            _ => &["query", "queryText"],
        };
        let sql = names.iter().find_map(|name| json[*name].as_str()).unwrap_or_default();
        match self.answer(context, headers, Operation::Query { sql: sql.to_owned() }).await {
            Ok(frames) => DataResponse { frames, status: 200, ..DataResponse::default() },
            Err(failure) => DataResponse {
                error: failure.message,
                status: 502,
                error_source: "downstream".to_owned(),
                ..DataResponse::default()
            },
        }
    }
}

#[tonic::async_trait]
impl Data for Plugin {
    async fn query_data(
        &self,
        request: Request<QueryDataRequest>,
    ) -> Result<Response<QueryDataResponse>, Status> {
        let request = request.into_inner();
        let asking = request.queries.iter().enumerate().map(|(nth, query)| {
            let (mut context, headers) = (request.plugin_context.clone(), request.headers.clone());
            if let Some(context) = context.as_mut().filter(|_| nth > 0 && self.has(Defect::UserOnFirstQuery))
            {
                context.user = None;
            }
            self.query(context, headers, query)
        });
        let mut answers = join_all(asking).await;
        if self.has(Defect::SwapsAnswers) {
            answers.rotate_left(1);
        }
        let failed = answers.iter().find(|answer| !answer.error.is_empty()).cloned();
        if let Some(failed) = failed.filter(|_| self.has(Defect::ErrorSpoilsRequest)) {
            answers.fill(failed);
        }
        let names = request.queries.into_iter().map(|query| query.ref_id);
        Ok(Response::new(QueryDataResponse { responses: names.zip(answers).collect() }))
    }
}

#[tonic::async_trait]
impl Diagnostics for Plugin {
    async fn check_health(
        &self,
        request: Request<CheckHealthRequest>,
    ) -> Result<Response<CheckHealthResponse>, Status> {
        let CheckHealthRequest { plugin_context, headers } = request.into_inner();
        let (status, message) = match self.answer(plugin_context, headers, Operation::Health).await {
            Ok(_) => (HealthStatus::Ok, "the server answers".to_owned()),
            Err(failure) => (HealthStatus::Error, failure.message),
        };
        let response =
            CheckHealthResponse { status: status.into(), message, ..CheckHealthResponse::default() };
        Ok(Response::new(response))
    }
}

#[tonic::async_trait]
impl Resource for Plugin {
    type CallResourceStream = BoxStream<'static, Result<CallResourceResponse, Status>>;

    async fn call_resource(
        &self,
        request: Request<CallResourceRequest>,
    ) -> Result<Response<Self::CallResourceStream>, Status> {
        let request = request.into_inner();
        let operation = match request.path.as_str() {
            "flightsql/tables" => Some(Operation::Tables),
            "flightsql/columns" => Some(Operation::Columns { table: table_of(&request.url) }),
            "flightsql/sql-info" => Some(Operation::SqlInfo),
            _ => None,
        };
        let (code, body) = match operation {
            None => (404, json!({ "error": "there is no such resource" })),
            Some(operation) => match self.answer(request.plugin_context, HashMap::new(), operation).await {
                Ok(frames) => (200, json!({ "frames": frames.len() })),
                Err(failure) => (502, json!({ "error": failure.message })),
            },
        };
        let body = body.to_string().into_bytes();
        let answer = CallResourceResponse { code, body, ..CallResourceResponse::default() };
        Ok(Response::new(stream::once(async { Ok(answer) }).boxed()))
    }
}

/// The parameter `table` of a resource's address.
fn table_of(url: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "table").map(|(_, table)| table.into_owned()).unwrap_or_default()
}

/// Ends the process when it is told to.
pub(crate) struct Controller {
    pub(crate) behaviour: Behaviour,
    pub(crate) end: mpsc::Sender<End>,
}

#[tonic::async_trait]
impl GrpcController for Controller {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        let end = match self.behaviour.defect {
            Some(Defect::Lingers) => return Ok(Response::new(Empty {})),
            Some(Defect::NonzeroExit) => End::Failed,
            _ => End::Finished,
        };
        // Full: it ends already.
        let _ = self.end.try_send(end);
        Ok(Response::new(Empty {}))
    }
}
