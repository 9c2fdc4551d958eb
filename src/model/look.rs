//! How the customers' portal looks, and whether it is for reading only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an environment's settings say of the portal, kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Look {
    /// The name that is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A picture: an `https` URL, or the picture itself as a `data:` URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// The main colour (`#rrggbb`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// The family of the font.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font_family: Option<String>,
    /// How round corners are (`none`, `sm`, `md`, `lg`, `full`), by what they are of (`button`, `card`,
    /// `input`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub border_radius: Option<BTreeMap<String, String>>,
    /// Colours by their use, in light surroundings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub palette_light: Option<BTreeMap<String, String>>,
    /// The same in dark surroundings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub palette_dark: Option<BTreeMap<String, String>>,
    /// Portal tokens change nothing, whatever their capabilities are.
    pub read_only: bool,
}
