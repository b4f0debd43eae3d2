// Package oci owns the interface of OCI registries as far as it reads: each version
// is an artifact, whose layers are the files as they are. It is a translation of a
// catalog.Source.
//
// Laws:
//   - A manifest is a function of the version alone, so that every replica, and every
//     registry that has the version, gives it the same digest.
//   - What is remembered is only where to look. Whether the caller may read, and
//     whether the bytes are still there, is asked of the Source for each request.
//   - The address that a blob's answer names can be read with no more credentials
//     than it has in itself.
package oci
