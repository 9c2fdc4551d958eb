//! What the two versions call differently, as one set of names for the steps.

/// Writes the names for a version: what putting a resource and putting headers is called, the field that
/// limits an endpoint to event types, and the types of what is put.
macro_rules! names {
    (
        $put:ident,
        $put_headers:ident,
        $types:ident,
        $endpoint:ident,
        $event_type:ident,
        $operational:ident,
        $ingest:ident
    ) => {
        use super::sdk;
        use sdk::api::Svix;
        use sdk::error::Result;
        pub(crate) use sdk::models::{
            $endpoint as EndpointPut, $event_type as EventTypePut, $ingest as IngestEndpointPut,
            $operational as OperationalPut,
        };
        use sdk::models::*;

        pub(crate) async fn put_application(sdk: &Svix, id: &str, body: ApplicationIn) -> Result<ApplicationOut> {
            sdk.application().$put(id.to_owned(), body).await
        }

        pub(crate) async fn put_event_type(sdk: &Svix, name: &str, body: EventTypePut) -> Result<EventTypeOut> {
            sdk.event_type().$put(name.to_owned(), body).await
        }

        pub(crate) async fn put_endpoint(sdk: &Svix, app: &str, id: &str, body: EndpointPut) -> Result<EndpointOut> {
            sdk.endpoint().$put(app.to_owned(), id.to_owned(), body).await
        }

        pub(crate) async fn put_operational(
            sdk: &Svix,
            id: &str,
            body: OperationalPut,
        ) -> Result<OperationalWebhookEndpointOut> {
            sdk.operational_webhook().endpoint().$put(id.to_owned(), body).await
        }

        pub(crate) async fn put_headers(sdk: &Svix, app: &str, id: &str, body: EndpointHeadersIn) -> Result<()> {
            sdk.endpoint().$put_headers(app.to_owned(), id.to_owned(), body).await
        }

        pub(crate) async fn put_operational_headers(
            sdk: &Svix,
            id: &str,
            body: OperationalWebhookEndpointHeadersIn,
        ) -> Result<()> {
            sdk.operational_webhook().endpoint().$put_headers(id.to_owned(), body).await
        }

        pub(crate) async fn put_source(sdk: &Svix, id: &str, body: IngestSourceIn) -> Result<IngestSourceOut> {
            sdk.ingest().source().$put(id.to_owned(), body).await
        }

        pub(crate) async fn put_ingest_endpoint(
            sdk: &Svix,
            source: &str,
            id: &str,
            body: IngestEndpointPut,
        ) -> Result<IngestEndpointOut> {
            sdk.ingest().endpoint().$put(source.to_owned(), id.to_owned(), body).await
        }

        pub(crate) async fn put_ingest_headers(
            sdk: &Svix,
            source: &str,
            id: &str,
            body: IngestEndpointHeadersIn,
        ) -> Result<()> {
            sdk.ingest().endpoint().$put_headers(source.to_owned(), id.to_owned(), body).await
        }

        /// Limits an endpoint to an event type.
        pub(crate) trait Only: Sized {
            fn only(self, event_type: &str) -> Self;
        }

        /// The event types that an endpoint is limited to.
        pub(crate) trait OnlyOf {
            fn only_of(&self) -> Vec<&str>;
        }

        $crate::names::names!(@only $types, EndpointIn, EndpointPut, OperationalWebhookEndpointIn);
        $crate::names::names!(@only_of $types, EndpointOut, OperationalWebhookEndpointOut);
    };
    (@only $types:ident, $($name:ident),*) => {
        $(impl Only for $name {
            fn only(self, event_type: &str) -> Self {
                Self { $types: Some([event_type.to_owned()].into_iter().collect()), ..self }
            }
        })*
    };
    (@only_of $types:ident, $($name:ident),*) => {
        $(impl OnlyOf for $name {
            fn only_of(&self) -> Vec<&str> {
                self.$types.iter().flatten().map(String::as_str).collect()
            }
        })*
    };
}

pub(crate) use names;
