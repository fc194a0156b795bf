//! Stanza errors (RFC 6120 §8.3).

use super::{El, Payload};
use crate::address::Address;
use crate::ns;

/// The `type` of an error: what its receiver may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Retry after changing the data.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorKind {
    /// The attribute's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }
}

/// Defined conditions (RFC 6120 §8.3.3) that this service uses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
#[non_exhaustive]
pub enum Condition {
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    Forbidden,
    Gone(Option<String>),
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    PolicyViolation,
    RecipientUnavailable,
    Redirect(String),
    RegistrationRequired,
    RemoteServerNotFound,
    RemoteServerTimeout,
    ResourceConstraint,
    ServiceUnavailable,
    UndefinedCondition,
    UnexpectedRequest,
}

impl Condition {
    /// Element name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Conflict => "conflict",
            Self::FeatureNotImplemented => "feature-not-implemented",
            Self::Forbidden => "forbidden",
            Self::Gone(_) => "gone",
            Self::InternalServerError => "internal-server-error",
            Self::ItemNotFound => "item-not-found",
            Self::JidMalformed => "jid-malformed",
            Self::NotAcceptable => "not-acceptable",
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::RecipientUnavailable => "recipient-unavailable",
            Self::Redirect(_) => "redirect",
            Self::RegistrationRequired => "registration-required",
            Self::RemoteServerNotFound => "remote-server-not-found",
            Self::RemoteServerTimeout => "remote-server-timeout",
            Self::ResourceConstraint => "resource-constraint",
            Self::ServiceUnavailable => "service-unavailable",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnexpectedRequest => "unexpected-request",
        }
    }

    fn data(&self) -> &str {
        match self {
            Self::Gone(Some(uri)) | Self::Redirect(uri) => uri,
            _ => "",
        }
    }

    /// What people are told where nothing more is known.
    fn usual_text(&self) -> &'static str {
        match self {
            Self::BadRequest => "The request is malformed.",
            Self::Conflict => "That is taken already.",
            Self::FeatureNotImplemented | Self::ServiceUnavailable => "That is not offered here.",
            Self::Forbidden => "You do not have the privilege for this.",
            Self::Gone(_) => "That is not here any more.",
            Self::InternalServerError | Self::UndefinedCondition => "Something went wrong here.",
            Self::ItemNotFound => "There is no such thing here.",
            Self::JidMalformed => "An address is malformed.",
            Self::NotAcceptable | Self::NotAllowed => "That is not allowed here.",
            Self::NotAuthorized => "A password is required.",
            Self::PolicyViolation => "That is more than this service takes.",
            Self::RecipientUnavailable => "The one who decides cannot be reached.",
            Self::Redirect(_) => "That is elsewhere.",
            Self::RegistrationRequired => "Only members may do this.",
            Self::RemoteServerNotFound | Self::RemoteServerTimeout => "The other server cannot be reached.",
            Self::ResourceConstraint => "The service is busy; try again later.",
            Self::UnexpectedRequest => "That comes out of order.",
        }
    }

    /// The `type` that RFC 6120 and XEP-0045 give this condition unless a case says otherwise.
    #[must_use]
    pub fn usual_kind(&self) -> ErrorKind {
        match self {
            Self::Forbidden | Self::NotAuthorized | Self::RegistrationRequired => ErrorKind::Auth,
            Self::BadRequest
            | Self::JidMalformed
            | Self::NotAcceptable
            | Self::PolicyViolation
            | Self::Redirect(_) => ErrorKind::Modify,
            Self::RecipientUnavailable
            | Self::RemoteServerTimeout
            | Self::ResourceConstraint
            | Self::UnexpectedRequest => ErrorKind::Wait,
            _ => ErrorKind::Cancel,
        }
    }
}

/// One refusal: condition, type, an application-specific condition, a text for people.
#[derive(Debug, Clone, PartialEq)]
pub struct StanzaError {
    /// What is wrong.
    pub condition: Condition,
    /// What may be done about it.
    pub kind: ErrorKind,
    /// For people, in English; never holds a real JID.
    pub text: Option<String>,
    /// Application-specific condition.
    pub application: Option<Payload>,
}

impl StanzaError {
    /// An error of the condition's usual type.
    #[must_use]
    pub fn new(condition: Condition) -> Self {
        Self { kind: condition.usual_kind(), condition, text: None, application: None }
    }

    /// An error of another type.
    #[must_use]
    pub fn of_kind(condition: Condition, kind: ErrorKind) -> Self {
        Self { kind, condition, text: None, application: None }
    }

    /// Adds a text for people.
    #[must_use]
    pub fn because(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Adds an application-specific condition.
    #[must_use]
    pub fn with(mut self, application: Payload) -> Self {
        self.application = Some(application);
        self
    }

    /// The `<error/>` child: condition, application condition, text.
    #[must_use]
    pub fn to_payload(&self) -> Payload {
        self.payload(None)
    }

    /// The same, naming who refuses: not the occupant whose address was written to (RFC 6120 §8.3.1).
    #[must_use]
    pub fn to_payload_by(&self, by: &Address) -> Payload {
        self.payload(Some(by.bare_str()))
    }

    fn payload(&self, by: Option<&str>) -> Payload {
        let mut error = El::stanza("error")
            .attr_opt("by", by)
            .attr("type", self.kind.as_str())
            .child(El::new(self.condition.name(), ns::ERRORS).text(self.condition.data()));
        if let Some(application) = &self.application {
            error = error.payload_child(application);
        }
        let text = self.text.as_deref().unwrap_or_else(|| self.condition.usual_text());
        error.child(El::new("text", ns::ERRORS).attr("xml:lang", "en").text(text)).payload()
    }
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self::new(condition)
    }
}
