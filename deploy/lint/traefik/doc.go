// Package traefik holds the file in front of edges to Traefik's own types. It is a module of its own: Traefik and Helm need
// versions of the same libraries that do not fit.
package traefik
