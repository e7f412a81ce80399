//! What is asked for over HTTP by the page of dead profiles.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// `GET /api/seance/profiles`: every profile there is, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Profiles {
    pub profiles: Vec<ProfileCard>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProfileCard {
    pub id: String,
    /// Whose it was.
    pub name: String,
    /// Whether it is a saved page, to be had at `/api/seance/profiles/{id}/page`; otherwise it
    /// is a [`Profile`], at `/api/seance/profiles/{id}`.
    pub saved: bool,
}

/// What became of somebody's account. As a file it is TOML or JSON of this shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(export, optional_fields)]
pub struct Profile {
    pub style: ProfileStyle,
    /// Of what is written in it, as an ISO 639 code: `en`, `de`, `ru`.
    pub language: String,
    pub name: String,
    /// The name of the place that it was kept at; invented, like the rest.
    pub site: String,
    /// The first and the last year in which something was written.
    pub years: (u16, u16),
    /// A line that stands under the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motto: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// How often it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visits: Option<u32>,
    #[serde(default)]
    pub facts: Vec<ProfileFact>,
    /// Names of pages and people that it pointed to. They lead nowhere.
    #[serde(default)]
    pub links: Vec<String>,
    /// The newest last.
    pub posts: Vec<ProfilePost>,
}

/// What it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ProfileStyle {
    /// A page of one's own, late nineties.
    Homepage,
    /// A wall of a network, two thousands.
    Wall,
    /// A feed of short lines, about 2010.
    Feed,
}

/// Something about somebody, as forms asked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct ProfileFact {
    pub label: String,
    pub text: String,
}

/// Something that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct ProfilePost {
    /// When, as the place itself showed it.
    pub at: String,
    /// Who wrote it, if somebody else did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    pub text: String,
    /// How many liked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likes: Option<u32>,
    #[serde(default)]
    pub replies: Vec<ProfileReply>,
}

/// What somebody said to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct ProfileReply {
    pub by: String,
    pub text: String,
}
