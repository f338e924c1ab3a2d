//! The plugin face: the same client, started and asked as Grafana starts and asks its data sources.

mod frame;
mod instances;
mod services;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;

use plugin_protocol::go_plugin::grpc_controller_server::GrpcControllerServer;
use plugin_protocol::pluginv2::data_server::DataServer;
use plugin_protocol::pluginv2::diagnostics_server::DiagnosticsServer;
use plugin_protocol::pluginv2::resource_server::ResourceServer;
use plugin_protocol::{APP_PROTOCOL, CORE_PROTOCOL};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;

use crate::behaviour::{Behaviour, Defect};
use crate::client::Client;
use crate::log::Log;
use crate::plugin::instances::Instances;
use crate::plugin::services::{Controller, Plugin};
use crate::stdio::{End, write_lines};

/// What the environment says to a plugin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    /// Where the socket goes; over TCP without it.
    pub(crate) socket_folder: Option<PathBuf>,
    /// The certificates to trust, a PEM file.
    pub(crate) ca: Option<String>,
}

/// Serves until the host says that it is over, or a defect ends it.
///
/// # Errors
/// If it cannot listen or say where.
pub(crate) async fn serve<W, L>(host: Host, mut out: W, log: L, behaviour: Behaviour) -> std::io::Result<End>
where
    W: AsyncWrite + Send + Unpin,
    L: AsyncWrite + Send + Unpin + 'static,
{
    let (log_sender, log_lines) = Log::new();
    let writer = tokio::spawn(write_lines(log, log_lines));
    let (end, mut ended) = mpsc::channel(1);
    let client = Arc::new(Client::new(behaviour, log_sender));
    let plugin = Plugin { instances: Arc::new(Instances::new(client, host.ca)), behaviour, end: end.clone() };
    let server = Server::builder()
        .add_service(DataServer::new(plugin.clone()))
        .add_service(DiagnosticsServer::new(plugin.clone()))
        .add_service(ResourceServer::new(plugin))
        .add_service(GrpcControllerServer::new(Controller { behaviour, end }));
    let serving = match host.socket_folder {
        Some(folder) => {
            let path = folder.join(format!("reference-{}", std::process::id()));
            let listener = UnixListener::bind(&path)?;
            hand_shake(&mut out, "unix", &path.display().to_string()).await?;
            tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)))
        }
        None => {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            hand_shake(&mut out, "tcp", &listener.local_addr()?.to_string()).await?;
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)))
        }
    };
    if behaviour.has(Defect::Noise) {
        out.write_all(b"progress: 50 %\n").await?;
        out.flush().await?;
    }
    // The services hold senders: it comes.
    let end = ended.recv().await.unwrap_or(End::Finished);
    serving.abort();
    writer.abort();
    Ok(end)
}

async fn hand_shake(
    out: &mut (impl AsyncWrite + Unpin),
    network: &str,
    address: &str,
) -> std::io::Result<()> {
    let line = format!("{CORE_PROTOCOL}|{APP_PROTOCOL}|{network}|{address}|grpc|\n");
    out.write_all(line.as_bytes()).await?;
    out.flush().await
}
