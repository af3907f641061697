//! The secret that the nodes and clients of a cluster share.

use std::fmt;

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

/// A secret that every call of a cluster shows, so that nobody else is served.
///
/// Without encryption whoever listens on the way learns it.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

/// Text that cannot be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is 1 to 1024 visible characters of ASCII")]
pub struct TokenError;

/// The most characters of a token.
const CHARACTERS_MAX: usize = 1024;

const HEADER: &str = "authorization";

impl Token {
    /// Makes a token of text, without the white space around it.
    ///
    /// # Errors
    ///
    /// A [`TokenError`].
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > CHARACTERS_MAX || !is_visible {
            return Err(TokenError);
        }
        let header = format!("Bearer {text}").parse();
        header.map(Self).map_err(|_| TokenError)
    }

    /// Compares in a time that says nothing about where they differ.
    fn is(&self, shown: &[u8]) -> bool {
        let own = self.0.as_encoded_bytes();
        let differing = own.iter().zip(shown).fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == shown.len() && differing == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Shows a token with every call.
#[derive(Clone, Debug)]
pub(crate) struct Show(pub(crate) Option<Token>);

impl Interceptor for Show {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert(HEADER, token.0.clone());
        }
        Ok(request)
    }
}

/// Wants a token with every call.
#[derive(Clone, Debug)]
pub(crate) struct Want(pub(crate) Option<Token>);

impl Interceptor for Want {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let shown = request.metadata().get(HEADER);
        let is_shown =
            |token: &Token| shown.is_some_and(|shown| token.is(shown.as_encoded_bytes()));
        match &self.0 {
            Some(token) if !is_shown(token) => Err(Status::unauthenticated(
                "the token of the cluster is needed",
            )),
            _ => Ok(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: Option<&str>, shown: Option<&str>, is_served: bool) {
        let token = |text: Option<&str>| text.map(|text| Token::new(text).unwrap());
        let request = Show(token(shown)).call(Request::new(())).unwrap();
        assert_eq!(Want(token(wanted)).call(request).is_ok(), is_served);
    }

    #[test]
    fn only_the_same_token_is_served() {
        check(None, None, true);
        check(None, Some("a"), true);
        check(Some("secret"), Some("secret"), true);
        check(Some("secret"), Some(" secret\n"), true);
        check(Some("secret"), None, false);
        check(Some("secret"), Some("secre"), false);
        check(Some("secret"), Some("secret1"), false);
        check(Some("secret"), Some("Secret"), false);
    }

    #[test]
    fn text_that_no_header_can_carry_is_refused() {
        assert!(Token::new(&"a".repeat(1024)).is_ok());
        for text in ["", "  ", "a b", "ä", "a\nb", &"a".repeat(1025)] {
            assert_eq!(Token::new(text).unwrap_err(), TokenError, "{text:?}");
        }
    }
}
