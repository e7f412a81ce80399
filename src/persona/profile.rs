//! Profiles of accounts that nobody uses any more: what a file of one may hold.

use crate::wire::profiles::Profile;

/// Longest file of a written profile, bytes.
pub const PROFILE_BYTES: usize = 256 << 10;

/// Most posts of a profile, replies to a post, facts, and links.
const MOST: usize = 300;

/// Longest line (a name, a label, a date) and longest text, characters.
const LINE: usize = 120;
const TEXT: usize = 4000;

/// The form of a profile's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Toml,
    Json,
}

/// Why a file is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("it is larger than {PROFILE_BYTES} bytes")]
    TooLarge,
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("{what} has more than {most} {unit}")]
    TooLong {
        what: &'static str,
        most: usize,
        unit: &'static str,
    },
    #[error("{0:?} is no language's code; write en, de, ru, …")]
    Language(String),
    #[error("it ends in {1}, before it begins in {0}")]
    Years(u16, u16),
}

/// Reads a profile.
///
/// # Errors
/// When the text is no profile, or holds more than a page can show.
pub fn parse(text: &str, form: Form) -> Result<Profile, ProfileError> {
    if text.len() > PROFILE_BYTES {
        return Err(ProfileError::TooLarge);
    }
    let profile: Profile = match form {
        Form::Toml => toml::from_str(text)?,
        Form::Json => serde_json::from_str(text)?,
    };
    check(&profile)?;
    Ok(profile)
}

fn check(profile: &Profile) -> Result<(), ProfileError> {
    let language = &profile.language;
    if language.len() != 2 || !language.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(ProfileError::Language(language.clone()));
    }
    let (first, last) = profile.years;
    if last < first {
        return Err(ProfileError::Years(first, last));
    }
    line("name", &profile.name)?;
    line("site", &profile.site)?;
    profile
        .motto
        .iter()
        .try_for_each(|text| line("motto", text))?;
    profile
        .about
        .iter()
        .try_for_each(|said| text("about", said))?;
    few("facts", profile.facts.len())?;
    for fact in &profile.facts {
        line("a fact's label", &fact.label)?;
        text("a fact's text", &fact.text)?;
    }
    few("links", profile.links.len())?;
    profile
        .links
        .iter()
        .try_for_each(|link| line("a link", link))?;
    few("posts", profile.posts.len())?;
    if profile.posts.is_empty() {
        return Err(ProfileError::Empty { what: "posts" });
    }
    for post in &profile.posts {
        line("a post's date", &post.at)?;
        text("a post's text", &post.text)?;
        post.by
            .iter()
            .try_for_each(|by| line("a post's author", by))?;
        few("replies", post.replies.len())?;
        for reply in &post.replies {
            line("a reply's author", &reply.by)?;
            text("a reply's text", &reply.text)?;
        }
    }
    Ok(())
}

fn line(what: &'static str, said: &str) -> Result<(), ProfileError> {
    written(what, said, LINE)
}

fn text(what: &'static str, said: &str) -> Result<(), ProfileError> {
    written(what, said, TEXT)
}

fn written(what: &'static str, said: &str, most: usize) -> Result<(), ProfileError> {
    if said.trim().is_empty() {
        return Err(ProfileError::Empty { what });
    }
    if said.chars().nth(most).is_some() {
        let unit = "characters";
        return Err(ProfileError::TooLong { what, most, unit });
    }
    Ok(())
}

fn few(what: &'static str, count: usize) -> Result<(), ProfileError> {
    let (most, unit) = (MOST, "entries");
    if count > most {
        return Err(ProfileError::TooLong { what, most, unit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        style = "feed"
        language = "en"
        name = "Nobody"
        site = "chirr"
        years = [2009, 2011]
        posts = [{ at = "today", text = "still here" }]
    "#;

    #[test]
    fn toml_and_json_say_the_same() {
        let profile = parse(SMALL, Form::Toml).unwrap();
        assert_eq!(profile.posts[0].text, "still here");
        let json = serde_json::to_string(&profile).unwrap();
        assert_eq!(parse(&json, Form::Json).unwrap(), profile);
    }

    #[test]
    fn what_a_page_cannot_show_is_refused_by_name() {
        let long = "x".repeat(TEXT + 1);
        let many = format!(
            "posts = [{}]",
            r#"{ at = "t", text = "x" },"#.repeat(MOST + 1)
        );
        for (from, to, complaint) in [
            ("\"en\"", "\"English\"", "language"),
            ("[2009, 2011]", "[2011, 2009]", "before it begins"),
            ("\"Nobody\"", "\" \"", "name is empty"),
            ("still here", &long, "a post's text has more than"),
            ("\"feed\"", "\"frames\"", "style"),
            ("name =", "nom =", "nom"),
            (
                r#"posts = [{ at = "today", text = "still here" }]"#,
                "posts = []",
                "posts is empty",
            ),
            (
                r#"posts = [{ at = "today", text = "still here" }]"#,
                &many,
                "posts has more than",
            ),
        ] {
            assert!(SMALL.contains(from), "{from}");
            let error = parse(&SMALL.replace(from, to), Form::Toml).unwrap_err();
            assert!(error.to_string().contains(complaint), "{error}");
        }
        let large = format!("{SMALL}#{}", "x".repeat(PROFILE_BYTES));
        assert!(matches!(
            parse(&large, Form::Toml),
            Err(ProfileError::TooLarge)
        ));
        assert!(matches!(parse("{", Form::Json), Err(ProfileError::Json(_))));
    }
}
