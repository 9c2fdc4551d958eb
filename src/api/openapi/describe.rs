//! How one operation is described.

use http::Method;

use crate::model::IdKind;

/// What an operation is about: the chapters of the documentation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Application,
    Endpoint,
    EventType,
    Message,
    Events,
    Attempt,
    Task,
    Source,
    SourceEndpoint,
    SourceLog,
    Authentication,
    Environment,
    Environments,
    Operational,
    Statistics,
    Health,
    Server,
}

impl Tag {
    pub(super) const ALL: &[Self] = &[
        Self::Application,
        Self::Endpoint,
        Self::EventType,
        Self::Message,
        Self::Events,
        Self::Attempt,
        Self::Task,
        Self::Source,
        Self::SourceEndpoint,
        Self::SourceLog,
        Self::Authentication,
        Self::Environment,
        Self::Environments,
        Self::Operational,
        Self::Statistics,
        Self::Health,
        Self::Server,
    ];

    /// The contract's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Application => "Application",
            Self::Endpoint => "Endpoint",
            Self::EventType => "Event Type",
            Self::Message => "Message",
            Self::Events => "Events",
            Self::Attempt => "Message Attempt",
            Self::Task => "Background Task",
            Self::Statistics => "Statistics",
            Self::Source => "Ingest Source",
            Self::SourceEndpoint => "Ingest Endpoint",
            Self::SourceLog => "Ingest Logs",
            Self::Authentication => "Authentication",
            Self::Environment => "Environment-Settings",
            Self::Environments => "Environment",
            Self::Operational => "Webhook Endpoint",
            Self::Health => "Health",
            Self::Server => "Server",
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Statistics => "What came and went, in numbers.",
            Self::Application => "An application is a customer, or an internal consumer, whose endpoints these are.",
            Self::Endpoint => "An endpoint is where messages of an application are delivered.",
            Self::EventType => "Event types are the kinds of messages that endpoints choose from.",
            Self::Message => "A message is one event. It goes to every endpoint of its application that wants it.",
            Self::Events => "The messages of all applications, for who reads on and on.",
            Self::Attempt => "An attempt is one try to deliver a message to an endpoint.",
            Self::Task => "What goes on by itself after the call that began it was answered.",
            Self::Source => {
                "A source is where messages come in from outside: a receiving URL whose requests are verified as their \
                 provider signs them."
            }
            Self::SourceEndpoint => "The endpoints of a source are those of its application.",
            Self::SourceLog => "What a source received, and what became of it.",
            Self::Authentication => {
                "Customers reach their own application by a link with a token; browsers of operators by a session; \
                 everything else by a key with scopes."
            }
            Self::Environments => "An environment is an isolated world of applications, event types, sources and keys.",
            Self::Environment => "What holds for all applications of an environment.",
            Self::Operational => {
                "Endpoints of the environment itself. They are told what happens to the endpoints and messages of its \
                 applications."
            }
            Self::Health => "Whether the server runs, and whether it takes anything.",
            Self::Server => "About the server itself.",
        }
    }
}

/// Of which list an iterator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// Iterators are ids.
    Ids(IdKind),
    /// Iterators are names of event types.
    Names,
}

/// What the description says of an operation beside method, path and credentials, which the table
/// of operations has.
#[derive(Debug, Clone)]
pub(in crate::api) struct Described {
    pub(in crate::api) method: Method,
    pub(in crate::api) path: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: Tag,
    pub(super) summary: &'static str,
    pub(super) text: &'static str,
    pub(super) pages: Option<Pages>,
    pub(super) query: &'static [&'static str],
    /// The body's schema, by name.
    pub(super) body: Option<&'static str>,
    /// Statuses of success, each with the schema of its body by name; an empty one has none.
    pub(super) answers: Vec<(u16, &'static str)>,
    pub(super) media_type: &'static str,
    /// To who accepts it, success is mere bytes.
    pub(super) is_bytes: bool,
    /// It is about messages with where they stand: statuses are words.
    pub(super) is_search: bool,
}

impl Described {
    pub(super) const fn new(method: Method, path: &'static str, id: &'static str, tag: Tag) -> Self {
        Self {
            method,
            path,
            id,
            tag,
            summary: "",
            text: "",
            pages: None,
            query: &[],
            body: None,
            answers: Vec::new(),
            media_type: "application/json",
            is_bytes: false,
            is_search: false,
        }
    }

    /// A line, and what else there is to know.
    pub(super) const fn says(mut self, summary: &'static str, text: &'static str) -> Self {
        self.summary = summary;
        self.text = text;
        self
    }

    /// It answers pages of a list.
    pub(super) const fn pages(mut self, pages: Pages) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Query parameters beside those of pages, by name.
    pub(super) const fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }

    pub(super) const fn body(mut self, schema: &'static str) -> Self {
        self.body = Some(schema);
        self
    }

    pub(super) fn answers(mut self, status: u16, schema: &'static str) -> Self {
        self.answers.push((status, schema));
        self
    }

    pub(super) const fn media_type(mut self, media_type: &'static str) -> Self {
        self.media_type = media_type;
        self
    }

    pub(super) const fn or_bytes(mut self) -> Self {
        self.is_bytes = true;
        self
    }

    /// It is about messages with where they stand.
    pub(super) const fn searches(mut self) -> Self {
        self.is_search = true;
        self
    }

    /// The names of its query parameters.
    pub(in crate::api) fn query_names(&self) -> Vec<&'static str> {
        let pages: &[&str] = if self.pages.is_some() { &["limit", "iterator"] } else { &[] };
        pages.iter().chain(self.query).copied().collect()
    }

    /// The names of its path's parameters.
    pub(super) fn path_names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}
