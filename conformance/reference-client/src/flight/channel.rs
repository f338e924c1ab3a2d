//! The connection to the server: made when first needed, kept for the session.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use url::Url;

use crate::behaviour::{Behaviour, Defect, Variant};
use crate::config::Target;
use crate::failure::{Class, Failure};
use crate::flight::lax::{self, Lax};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// One session's way to its server.
pub(crate) struct Connection {
    endpoint: Endpoint,
    channel: Slot,
    per_call: bool,
    ca: Option<Vec<u8>>,
    /// Made by defects of TLS only.
    lax: Option<Lax>,
    /// Filled by the defect `connects-first` only.
    others: Mutex<Vec<Channel>>,
}

/// Where a channel is kept once it is made.
pub(crate) type Slot = Arc<OnceLock<Channel>>;

impl Connection {
    /// Checks the settings; connects to nobody, except in the variant `eager-connect`, in the background.
    pub(crate) fn new(target: &Target, ca: Option<&[u8]>, behaviour: Behaviour) -> Result<Self, Failure> {
        let wrong = |error: tonic::transport::Error| {
            Failure::configuration(format!(
                "cannot set up the connection to `{}`: {error}",
                target.host_and_port
            ))
        };
        let lax = match target.secure && lax::is_needed(behaviour) {
            true => Some(Lax::new(ca, behaviour)?),
            false => None,
        };
        let scheme = if target.secure && lax.is_none() { "https" } else { "http" };
        let mut endpoint =
            Endpoint::from_shared(format!("{scheme}://{}", target.host_and_port)).map_err(wrong)?;
        if !behaviour.has(Defect::NoTimeout) {
            endpoint = endpoint.connect_timeout(CONNECT_LIMIT);
        }
        if target.secure && lax.is_none() {
            let trusted = ca.map(Certificate::from_pem);
            let tls = ClientTlsConfig::new().ca_certificates(trusted).timeout(CONNECT_LIMIT);
            endpoint = endpoint.tls_config(tls).map_err(wrong)?;
        }
        let connection = Self {
            endpoint,
            channel: Slot::default(),
            per_call: behaviour.is(Variant::ConnectionPerCall),
            ca: ca.map(<[u8]>::to_vec),
            lax,
            others: Mutex::default(),
        };
        if behaviour.is(Variant::EagerConnect) {
            connection.connect_early();
        }
        Ok(connection)
    }

    /// A client for one call.
    pub(crate) fn flight(&self) -> FlightServiceClient<Channel> {
        let channel =
            if self.per_call { self.lazy() } else { self.channel.get_or_init(|| self.lazy()).clone() };
        FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE)
    }

    fn lazy(&self) -> Channel {
        match &self.lax {
            Some(lax) => lax.channel(&self.endpoint),
            None => self.endpoint.connect_lazy(),
        }
    }

    /// Uses this slot from now on: the defect `pools-by-host`.
    pub(crate) fn share(&mut self, slot: Slot) {
        self.channel = slot;
    }

    /// A connection to the place of a result: the defect `follows-locations`.
    pub(crate) fn elsewhere(&self, uri: &str, behaviour: Behaviour) -> Result<Self, Failure> {
        let wrong = || Failure::new(Class::Protocol, format!("the location `{uri}` is not understood"));
        let place = Url::parse(uri).map_err(|_| wrong())?;
        let (host, port) = (place.host_str().ok_or_else(wrong)?, place.port().ok_or_else(wrong)?);
        let target = Target {
            host_and_port: format!("{host}:{port}"),
            secure: place.scheme() == "grpc+tls",
            http: None,
        };
        Self::new(&target, self.ca.as_deref(), behaviour)
    }

    /// What the defect `connects-first` does.
    pub(crate) async fn open_another(&self) {
        if let Ok(channel) = self.endpoint.connect().await {
            self.others.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        }
    }

    fn connect_early(&self) {
        let (endpoint, slot) = (self.endpoint.clone(), Arc::clone(&self.channel));
        // Bounded by the connect limit. A failure shows again, and is told, when a query needs the connection.
        tokio::spawn(async move {
            if let Ok(channel) = endpoint.connect().await {
                let _ = slot.set(channel);
            }
        });
    }
}
