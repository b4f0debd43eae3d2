//go:build race

package nodeapi_test

// manyLeases is fewer where each takes several times as long.
const manyLeases = 1_000
