// Package credentials owns how a request says who asks: by a token in its
// Authorization header, as Bearer or as the password of Basic, or for reading in the
// cookie of the registry's own page.
//
// Laws:
//   - A request says it once. Two headers, or two cookies, are refused: whoever passes
//     requests on could read the one, and the registry the other.
//   - Credentials that are wrong are refused even where none are needed, so that nobody
//     takes what everybody sees for what they see.
//   - A cookie counts only for what changes nothing, and only if no page from elsewhere
//     has sent it.
//   - No secret is in an error.
package credentials
