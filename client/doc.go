// Package client owns the way between files and a registry: it pushes a folder
// as a version, pulls a version into a folder, and makes the calls of the API.
//
// Laws:
//   - Nothing from a registry, a cache or a folder is believed: every chunk is
//     decoded and its BLAKE3 compared with its name before it counts. Size and
//     time are never proof.
//   - A pulled file is replaced at once or not at all, and nothing outside the
//     target folder is ever touched, whatever the manifest or the folder holds.
//   - Memory is bounded, whatever the size of a model: a push holds at most
//     128 MiB of it at a time and two chunks for each processor, a pull three chunks for
//     each request under way.
//   - What a difference is made against is a guess that costs bytes at worst: a push
//     compares it with its name before, and a pull what has come out of it after.
//   - A call returns after everything it started has ended, and soon after its
//     context has.
//   - Only what may pass by itself is tried again. Everything sent is idempotent.
package client
