// Package tlsfiles owns what servers and clients of TLS take from files: the
// certificate that a server shows, and whom a client believes beside those that the
// system does.
//
// Laws:
//   - A server whose files have changed shows the new certificate within seconds,
//     without a restart. What does not fit together, or does not read, is logged once
//     and the certificate before it stays.
//   - Nothing below TLS 1.2 is spoken, and HTTP/1.1 alone.
package tlsfiles
