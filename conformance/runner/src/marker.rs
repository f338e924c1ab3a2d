//! The text in a call's SQL that names step, call and user, so that the server's record can be read call by call.

/// `fc.<step>.<n>.<user as hexadecimal>`.
pub fn make(step: &str, n: u32, user: Option<&str>) -> String {
    let user: String = user.unwrap_or_default().bytes().map(|b| format!("{b:02x}")).collect();
    format!("fc.{step}.{n}.{user}")
}

/// The marker in an SQL text, and the user that it names.
pub fn find(sql: &str) -> Option<(String, Option<String>)> {
    let start = sql.find("fc.")?;
    let end = sql[start..].find(|c: char| !(c.is_alphanumeric() || "._-".contains(c)));
    let marker = &sql[start..end.map_or(sql.len(), |e| start + e)];
    let hex = marker.splitn(4, '.').nth(3)?;
    let bytes: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok()).collect();
    let user = String::from_utf8(bytes?).ok().filter(|u| !u.is_empty());
    Some((marker.to_owned(), user))
}

/// The e-mail address of a user.
pub fn email(user: &str) -> String {
    format!("{user}@example.test")
}

/// The name of a user.
pub fn name(user: &str) -> String {
    format!("User {user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_again_with_its_user() {
        for user in [None, Some("user-3"), Some("zoë %\\ \r\n")] {
            let marker = make("burst", 3, user);
            let sql = format!("SELECT '{marker}' AS marker");
            assert_eq!(find(&sql), Some((marker, user.map(str::to_owned))));
        }
        assert_eq!(find("SELECT 1"), None);
    }
}
