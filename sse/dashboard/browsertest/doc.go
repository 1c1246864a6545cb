// Package browsertest lets tests look at a page with a real Chromium, and builds the article's React page for them.
//
// It owns the start and the end of the browser, the installation of the npm packages that tests need, and the bundling.
// It refuses to own any expectation: what a page must show is the test's to say. Only tests import it.
//
// A machine without Chromium, Node or the npm registry skips such tests with a word about what is missing; where CI is
// set in the environment the lack is a failure.
package browsertest
