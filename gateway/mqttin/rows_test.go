package mqttin

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rows are the hostile inputs of the project's list that concern MQTT and credentials, and the tests that hold each: the wire
// (1 to 14), topics and identity (25 to 29), credentials (30 to 35). A test of another package stands behind its folder. One
// of each row is in a file whose name says hardening.
var rows = map[string][]string{
	"1 a SUBSCRIBE cut after its filter":       {"TestASubscribeCutAfterItsFilterEndsOnlyItsConnection", "TestAPacketThatBreaksTheProtocolIsToldWhyInMQTT5"},
	"2 a first packet that is none, or 256 MB": {"TestAFirstPacketThatIsNoConnectEndsTheConnection", "TestAConnectThatClaims256MBIsRefusedBeforeItIsAllocated", "TestAHugeConnectOrClientIDIsRefused"},
	"3 silent and dripping sockets":            {"TestASocketThatSaysNothingOrDripsIsClosed", "TestConnectionsAreCappedBeforeTheySayAnything", "TestATLSHandshakeThatStallsOrIsNoneEndsItsConnectionOnly"},
	"4 a second CONNECT, a PUBLISH too early":  {"TestPacketsThatBreakTheProtocolEndTheConnection", "TestWhatIsSentBehindARefusedConnectIsNotTaken"},
	"5 malformed headers and flags":            {"TestPacketsThatBreakTheProtocolEndTheConnection", "TestAPacketThatBreaksTheProtocolIsToldWhyInMQTT5"},
	"6 text that is none":                      {"TestAFirstPacketThatIsNoConnectEndsTheConnection", "TestPacketsThatBreakTheProtocolEndTheConnection", "TestAUserNameThatIsNoTextIsRefused"},
	"7 keep-alives":                            {"TestKeepAliveIsImposedBetweenBounds", "TestASilentClientEndsAfterItsKeepAlive"},
	"8 topic aliases":                          {"TestTopicAliasesAreBoundedAndNeverGiveAnEmptyTopic", "TestAnAliasIsJudgedAnewWhenItsDeviceMoves", "TestFleetsAreWalls"},
	"9 a will on another device's topic":       {"TestAWillOnAnotherDevicesTopicRefusesTheConnect", "TestFleetsAreWalls"},
	"10 client ids of others, ping-pong":       {"TestAClientIDBelongsToTheAccountThatUsesIt", "TestADeviceGetsItsOwnNameAsClientIDWhoeverUsesIt", "TestPingPongTakeoversAreSlowed", "TestAnAccountThatConnectsWithoutEndIsSlowed", "TestAStormOfTakeoversLeavesOneConnection"},
	"11 sessions without end":                  {"TestKeptSessionsAreBounded", "TestAnAccountHasABoundedNumberOfSessions", "TestAnExpiredSessionLeavesNothing"},
	"12 who never reads, who never acks":       {"TestASubscriberThatDoesNotReadHoldsUpNobody", "TestWhatWaitsIsBoundedForEachAndForAll", "TestWhatIsUnacknowledgedIsBoundedByTheClientsReceiveMaximum", "TestWhatIsRetainedIsBounded", "TestCommandsToAClientThatDoesNotAcknowledgeAreBounded", "TestAPeerThatDoesNotReadHoldsUpNobodyAndIsCutOff"},
	"13 QoS 2 again, after a reconnect":        {"TestQoS2RepeatedAfterAReconnectIsStoredOnce", "TestQoS2IsRecordedAfterTheCommitAndStoredOnce"},
	"14 filters":                               {"TestSubscriptionsBeyondTheCredentialAreRefusedOneByOne", "TestSubscriptionsAreAnsweredAndReachNothing", "TestAPacketFullOfFiltersEndsTheConnection", "TestASessionsSubscriptionsAreBounded"},
	"25 odd topics":                            {"TestTopicsAreTextAndNotPaths"},
	"26 a topic of another device":             {"TestADeviceCannotSpeakForAnotherNorCommandItself", "TestWhatAPayloadSaysOfOtherDevicesIsJudgedForEach", "TestFleetsAreWalls"},
	"27 an unknown device":                     {"TestAnUnknownDeviceIsRefusedWhereThatIsThePolicy"},
	"28 retained telemetry of last year":       {"TestRetainedTelemetryIsMarked", "TestRetainedMessagesAreNoSignOfLife", "TestARetainedStatusIsMarked"},
	"29 our own downlink comes back":           {"TestWhatWeSentIsNotTakenWhenItComesBack", "TestWhatWeSentIsNotTakenFromAnExternalBroker", "TestADeviceCannotSpeakForAnotherNorCommandItself"},
	"30 wrong passwords":                       {"TestGuessingIsThrottledBeforeAnythingIsChecked", "TestFailuresAreCountedByNameAndByAddress", "TestTheMemoryOfFailuresIsBounded", "TestAnAuthenticatorThatHangsHoldsUpLoginsAndNothingElse"},
	"31 a password of 1 MB":                    {"TestALoginThatFailsIsToldWhyAndNoMore"},
	"32 forged tokens":                         {"../../devices/registry:TestAJWTIsHeldToItsKeyAndItsClaims", "../auth:TestTokensOfAnIdentityProviderAreHeldToItsKeys", "../auth:TestWhatIsNoSetOfKeysIsRefused"},
	"33 tokens out of their time":              {"../../devices/registry:TestAJWTIsHeldToItsKeyAndItsClaims", "../auth:TestTokensOfAnIdentityProviderAreHeldToItsKeys", "TestACredentialThatExpiresEndsItsConnection"},
	"34 what ends while it is in use":          {"TestACredentialThatExpiresEndsItsConnection", "TestARevokedCredentialEndsItsConnectionsAndSessions", "TestACredentialThatIsRevokedWhileItIsCheckedDoesNotGetIn", "TestRevocationReachesAPeerThatDoesNotRead", "../app:TestARevokedTokenEndsItsStreams"},
	"35 an identity provider in trouble":       {"../auth:TestKeysRotateAndAnUnknownOneIsNotAskedForAllTheTime", "../auth:TestKeysHoldWhileTheProviderIsInTroubleAndNotForEver"},
}

func TestEveryRowOfHostileInputHasItsTests(t *testing.T) {
	known := map[string]string{} // the file of a test
	for _, folder := range []string{"", "../auth", "../app", "../../devices/registry", "../../bridge"} {
		for name, file := range testsIn(t, folder) {
			if folder != "" {
				name = folder + ":" + name
			}
			known[name] = file
		}
	}
	for row, tests := range rows {
		hardened := false
		for _, name := range tests {
			file, ok := known[name]
			if !ok {
				t.Errorf("row %s: there is no %s", row, name)
			}
			hardened = hardened || strings.Contains(file, "hardening")
		}
		if !hardened {
			t.Errorf("row %s has no test in a file of hardening", row)
		}
	}
}

func testsIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range declared.FindAllSubmatch(b, -1) {
			tests[string(match[1])] = filepath.Base(file)
		}
	}
	return tests
}
