// Package remote owns a registry elsewhere as a catalog.Source: for programs that show
// or copy what it has.
//
// Laws:
//   - Bytes come as chunks, each compared with its name, so that nothing depends on
//     the sha256 of a file: that is told where the registry knows it in time.
//   - What a version is, is remembered, of so many of them: versions never change.
//     Where a tag is, is asked again each time.
package remote
