// Package versions owns what a repository holds: pushes in progress, versions,
// tags, and the protocols that change them.
//
// Laws:
//   - A version is readable only after every chunk it names was decoded, verified
//     and durably stored. A tag points only at a readable version.
//   - Nothing acknowledged is lost: not by a crash between any two steps, not by
//     another replica doing the same at the same time, not by a collection.
//   - Existence is answered from versions that the caller may read, and from what
//     it has uploaded itself, never from what the store happens to have.
//   - All state is in registers and blobs, so any replica may take any step. What
//     this package remembers is a cache that may be lost at any moment.
//
// The steps are numbered as in docs/formats/registry.md, section "The push
// protocol". No lock is held across a call to an engine, a store or the index,
// and no map's order decides what is called next: a simulation runs this code.
package versions
