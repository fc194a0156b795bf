//! The daemon at work: store, service and component, until it is told to stop.

use std::sync::Arc;

use dmuc_core::storage::{Storage, StoreError};
use dmuc_server_adapter::host::{BalancedHost, ComponentConfig, ComponentHost, Host, Sharing};
use dmuc_server_adapter::module::MucModule;
use dmuc_server_adapter::service::{OpenError, Service, open_storage_with};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::Settings;

/// Why the daemon ended without being told to, or not as it should.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store could be opened, but not read.
    #[error("the store cannot be read")]
    Read(#[from] StoreError),
    /// Rooms were still waiting for the store or the server when the time for stopping was over. Nothing that was
    /// confirmed to anybody is lost.
    #[error("stopping took longer than `limits.stop-seconds`")]
    Unfinished,
}

/// Runs the daemon until `stop` resolves. While the server is away, it keeps trying to connect.
///
/// # Errors
/// [`RunError`].
pub async fn run(settings: Settings, stop: impl Future<Output = ()> + Send) -> Result<(), RunError> {
    settings.warnings.iter().for_each(|warning| warn!("{warning}"));
    let storage = open_storage_with(settings.store.reveal(), &settings.store_options).await?;
    info!(store = ?settings.store, "store opened");
    serve(settings, storage, stop).await
}

/// Runs the daemon on a store that is open already.
///
/// # Errors
/// [`RunError`], except `Open`.
pub async fn serve(
    settings: Settings,
    storage: Arc<dyn Storage>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let stop_within = settings.stop_within;
    let way = Way::of(&settings, &storage);
    let service = Arc::new(Service::start(storage, way.host(), settings.policy, settings.tuning).await?);
    let (disconnect, told) = oneshot::channel::<()>();
    let told = async move { drop(told.await) };
    let connection = way.open(service.clone(), told);
    tokio::select! {
        () = stop => {}
        () = service.stop_asked() => info!("an administrator ends the service"),
    }
    info!("stopping");
    // The rooms first: what they still have to say goes out by the connection.
    let finished = timeout(stop_within, service.shutdown()).await;
    drop(disconnect);
    let disconnected = timeout(stop_within, connection).await;
    finished.and(disconnected.map(drop)).map_err(|_| RunError::Unfinished)
}

/// How the server is reached.
enum Way {
    Alone(Arc<ComponentHost>),
    WithOthers(Arc<BalancedHost>),
}

impl Way {
    fn of(settings: &Settings, storage: &Arc<dyn Storage>) -> Self {
        let Some(connections) = settings.component.connections else {
            return Self::Alone(ComponentHost::new(component(settings)));
        };
        let (node, ttl) = (settings.tuning.node.clone(), settings.tuning.lease_ttl / 2);
        let sharing = Sharing { connections, node, ttl };
        Self::WithOthers(BalancedHost::new(component(settings), storage.clone(), sharing))
    }

    fn host(&self) -> Arc<dyn Host> {
        match self {
            Self::Alone(host) => host.clone(),
            Self::WithOthers(host) => host.clone(),
        }
    }

    fn open(
        self,
        module: Arc<dyn MucModule>,
        told: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        match self {
            Self::Alone(host) => tokio::spawn(host.run(module, told)),
            Self::WithOthers(host) => tokio::spawn(host.run(module, told)),
        }
    }
}

fn component(settings: &Settings) -> ComponentConfig {
    let component = settings.component.clone();
    let domain = settings.policy.domain.clone();
    let config = ComponentConfig::new(component.host, component.port, domain, component.secret);
    ComponentConfig { limits: settings.wire, ..config }
}
