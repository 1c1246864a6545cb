// Package lint holds the files for containers and Kubernetes to the programs that read them: Helm renders the chart, the types
// of Kubernetes's own API take what it renders, the library behind docker compose reads the compose file, and the parser and
// the linter of BuildKit the Dockerfile.
//
// It is a module of its own, so that none of these is a dependency of the program; `make lint-deploy` runs it. It refuses to own
// what no engine says: that an image builds and a cluster takes the chart is tried where there is one.
package lint
