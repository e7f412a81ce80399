//! Dead profiles: read from a folder once, at the start, and shown to whoever the gate lets in.
//!
//! Nothing of a request ever becomes a path: an id names a profile that was read, or nothing.
//! A saved page is a stranger's HTML. It is served under a policy of its own: no scripts, no
//! forms, nothing from any network, and only within a frame of ours.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use actix_web::{HttpResponse, http::header, web};
use rust_embed::Embed;

use super::error::GatewayError;
use crate::{
    persona::profile::{self, Form, PROFILE_BYTES, ProfileError},
    wire::profiles::{Profile, ProfileCard, Profiles},
};

/// Longest saved page, bytes: pictures are in it.
const PAGE_BYTES: usize = 8 << 20;

/// Most profiles, and most bytes of all of them together.
const MOST: usize = 256;
const ALL_BYTES: usize = 128 << 20;

/// Longest id.
const ID: usize = 64;

/// A saved page may look like itself and do nothing. `allow-same-origin` lets our page scroll
/// it; without `allow-scripts` there is nobody inside to make use of it.
const PAGE_POLICY: &str = "sandbox allow-same-origin; default-src 'none'; \
     style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'self'";

/// Those that come with the program.
#[derive(Embed)]
#[folder = "models/profiles/"]
struct Shipped;

/// Why the profiles cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{file}: {source}")]
    Profile { file: String, source: ProfileError },
    #[error("{file}: a profile's file has a name of a-z, 0-9, - and _, at most {ID} characters")]
    Name { file: String },
    #[error("{file}: there is another profile of that name")]
    Twice { file: String },
    #[error("{file}: this is no UTF-8 text")]
    Text { file: String },
    #[error("{file}: a file of a profile has at most {most} bytes")]
    TooLarge { file: String, most: usize },
    #[error("at most {MOST} profiles and {ALL_BYTES} bytes are held")]
    TooMany,
}

/// A profile that was read.
enum Held {
    Written(Profile),
    /// HTML.
    Saved(web::Bytes),
}

/// The form of a file, by its name.
#[derive(Clone, Copy)]
enum Kind {
    Written(Form),
    Saved,
}

impl Kind {
    fn of(extension: &str) -> Option<Self> {
        match extension {
            "toml" => Some(Self::Written(Form::Toml)),
            "json" => Some(Self::Written(Form::Json)),
            "html" | "htm" => Some(Self::Saved),
            _ => None,
        }
    }

    fn most(self) -> usize {
        match self {
            Self::Written(_) => PROFILE_BYTES,
            Self::Saved => PAGE_BYTES,
        }
    }
}

/// All profiles, by id.
#[derive(Default)]
pub(crate) struct Graveyard {
    profiles: BTreeMap<String, Held>,
    bytes: usize,
}

impl Graveyard {
    /// Reads the folder, or those that come with the program. Files of other kinds are passed
    /// over.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file in it is no profile.
    pub(crate) fn read(folder: Option<&Path>) -> Result<Self, ProfilesError> {
        let mut all = Self::default();
        let Some(folder) = folder else {
            for name in Shipped::iter() {
                if let Some(file) = Shipped::get(&name) {
                    all.take(&name, |_| Ok(file.data.into_owned()))?;
                }
            }
            return Ok(all);
        };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ProfilesError::Read { path, source }
        };
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            all.take(&name, |most| {
                let size = fs::metadata(&path).map_err(failed(&path))?.len();
                if usize::try_from(size).is_ok_and(|size| size <= most) {
                    return fs::read(&path).map_err(failed(&path));
                }
                let file = name.clone().into_owned();
                Err(ProfilesError::TooLarge { file, most })
            })?;
        }
        Ok(all)
    }

    /// Takes a file in, if it is one of ours.
    fn take(
        &mut self,
        name: &str,
        read: impl FnOnce(usize) -> Result<Vec<u8>, ProfilesError>,
    ) -> Result<(), ProfilesError> {
        let Some((id, extension)) = name.rsplit_once('.') else {
            return Ok(());
        };
        let Some(kind) = Kind::of(extension) else {
            return Ok(());
        };
        let file = name.to_owned();
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if id.is_empty() || id.len() > ID || !id.bytes().all(plain) {
            return Err(ProfilesError::Name { file });
        }
        let bytes = read(kind.most())?;
        self.bytes += bytes.len();
        if self.bytes > ALL_BYTES || self.profiles.len() == MOST {
            return Err(ProfilesError::TooMany);
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return Err(ProfilesError::Text { file });
        };
        let held = match kind {
            Kind::Saved => Held::Saved(text.into()),
            Kind::Written(form) => match profile::parse(&text, form) {
                Ok(profile) => Held::Written(profile),
                Err(source) => return Err(ProfilesError::Profile { file, source }),
            },
        };
        if self.profiles.insert(id.to_owned(), held).is_some() {
            return Err(ProfilesError::Twice { file });
        }
        Ok(())
    }
}

/// `GET /api/seance/profiles`.
pub(crate) async fn list(all: web::Data<Graveyard>) -> HttpResponse {
    let card = |(id, held): (&String, &Held)| ProfileCard {
        id: id.clone(),
        name: match held {
            Held::Written(profile) => profile.name.clone(),
            Held::Saved(_) => id.replace(['-', '_'], " "),
        },
        saved: matches!(held, Held::Saved(_)),
    };
    private().json(Profiles {
        profiles: all.profiles.iter().map(card).collect(),
    })
}

/// `GET /api/seance/profiles/{id}`: one that was written, as JSON.
pub(crate) async fn written(
    id: web::Path<String>,
    all: web::Data<Graveyard>,
) -> Result<HttpResponse, GatewayError> {
    match all.profiles.get(id.as_str()) {
        Some(Held::Written(profile)) => Ok(private().json(profile)),
        Some(Held::Saved(_)) | None => Err(GatewayError::NotFound),
    }
}

/// `GET /api/seance/profiles/{id}/page`: one that was saved, for a sandboxed frame.
pub(crate) async fn saved(
    id: web::Path<String>,
    all: web::Data<Graveyard>,
) -> Result<HttpResponse, GatewayError> {
    let Some(Held::Saved(page)) = all.profiles.get(id.as_str()) else {
        return Err(GatewayError::NotFound);
    };
    Ok(private()
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((header::X_FRAME_OPTIONS, "SAMEORIGIN"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .content_type("text/html; charset=utf-8")
        .body(page.clone()))
}

fn private() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_profiles_come_with_the_program_in_every_style_and_language() {
        use crate::wire::profiles::ProfileStyle;
        let all = Graveyard::read(None).unwrap();
        assert_eq!(all.profiles.len(), 5);
        let written: Vec<&Profile> = all
            .profiles
            .values()
            .filter_map(|held| match held {
                Held::Written(profile) => Some(profile),
                Held::Saved(_) => None,
            })
            .collect();
        for style in [
            ProfileStyle::Homepage,
            ProfileStyle::Wall,
            ProfileStyle::Feed,
        ] {
            assert!(
                written.iter().any(|profile| profile.style == style),
                "{style:?}"
            );
        }
        for language in ["en", "de", "ru"] {
            assert!(
                written.iter().any(|profile| profile.language == language),
                "{language}"
            );
        }
        assert!(written.len() < 5, "and a saved page");
    }

    fn read(files: &[(&str, &[u8])]) -> Result<Graveyard, ProfilesError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        Graveyard::read(Some(folder.path()))
    }

    #[test]
    fn a_file_that_is_no_profile_is_named_at_the_start() {
        assert!(
            matches!(read(&[("a.html", b"\xff")]), Err(ProfilesError::Text { file }) if file == "a.html")
        );
        assert!(matches!(
            read(&[("A b.html", b"")]),
            Err(ProfilesError::Name { .. })
        ));
        assert!(matches!(
            read(&[("a.toml", b"x = 1")]),
            Err(ProfilesError::Profile { .. })
        ));
        assert!(matches!(
            read(&[("a.html", b""), ("a.htm", b"")]),
            Err(ProfilesError::Twice { .. })
        ));
        let large = vec![b' '; PAGE_BYTES + 1];
        assert!(matches!(
            read(&[("a.html", &large)]),
            Err(ProfilesError::TooLarge { .. })
        ));
        assert!(matches!(
            Graveyard::read(Some(Path::new("/no/such/folder"))),
            Err(ProfilesError::Read { .. })
        ));
        let others = read(&[("README", b"\xff"), ("picture.png", b"\xff")]).unwrap();
        assert!(others.profiles.is_empty());
    }
}
