//! One session for each saved data source, made anew when it was saved again; a failed one is not kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use plugin_protocol::pluginv2::PluginContext;

use crate::attribution::User;
use crate::behaviour::Defect;
use crate::client::Client;
use crate::failure::{Class, Failure};
use crate::plugin::settings::options;
use crate::session::Session;

/// The data sources that this process has been asked for.
pub(crate) struct Instances {
    client: Arc<Client>,
    ca: Option<String>,
    open: Mutex<HashMap<i64, Instance>>,
}

struct Instance {
    saved_ms: i64,
    session: Arc<Session>,
}

impl Instances {
    pub(crate) fn new(client: Arc<Client>, ca: Option<String>) -> Self {
        Self { client, ca, open: Mutex::default() }
    }

    /// The session of a call, and for whom the call is.
    pub(crate) fn of(&self, context: Option<PluginContext>) -> Result<(Arc<Session>, Option<User>), Failure> {
        let missing = |what: &str| Failure::new(Class::Protocol, format!("the request has no {what}"));
        let context = context.ok_or_else(|| missing("plugin context"))?;
        let saved = context.data_source_instance_settings.ok_or_else(|| missing("data source"))?;
        let org = context.org_id;
        let user = context.user.map(|user| User::new(user.login, user.email, user.name, org));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = self.client.behaviour.has(Defect::FirstConfigurationStays);
        let known = open.get(&saved.id).filter(|known| stays || known.saved_ms == saved.last_updated_ms);
        if let Some(known) = known {
            return Ok((Arc::clone(&known.session), user));
        }
        let native = options(&saved, self.ca.as_deref(), self.client.behaviour)?;
        let session = Arc::new(Session::open(&self.client, native)?);
        open.insert(saved.id, Instance { saved_ms: saved.last_updated_ms, session: Arc::clone(&session) });
        Ok((session, user))
    }
}
