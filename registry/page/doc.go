// Package page owns the page that a registry shows to people: its files, which are in
// the program, and the headers under which browsers get them.
//
// Laws:
//   - What is served was in the program when it was built, but for links that are made
//     of the path and query that were asked for. Nothing that a registry holds is ever in
//     the HTML: the page asks for it, as any client does.
//   - Every address in the HTML is relative, so that a proxy may put the registry below
//     a path of its own.
//   - Nothing runs that is not a file of the page, and the page talks to nobody but its
//     own registry: the policy says so to browsers.
//   - Files have the hash of all files in their address, so that a browser keeps them
//     for ever and never mixes those of two programs.
package page
