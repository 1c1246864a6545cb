package mqttin

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// rows are the hostile inputs of the project's list that come in by MQTT, and the tests that hold each: the wire (1 to
// 14), topics and identity (25 to 29), credentials (30 to 35, as far as they are the broker's; devices/registry and
// devices/secret have the rest).
var rows = map[string][]string{
	"1 a SUBSCRIBE cut after its filter":        {"TestASubscribeCutAfterItsFilterEndsOnlyItsConnection", "TestAPacketThatBreaksTheProtocolIsToldWhyInMQTT5"},
	"2 a first packet that is none, or 256 MB":  {"TestAFirstPacketThatIsNoConnectEndsTheConnection", "TestAConnectThatClaims256MBIsRefusedBeforeItIsAllocated", "TestAHugeConnectOrClientIDIsRefused"},
	"3 silent and dripping sockets":             {"TestASocketThatSaysNothingOrDripsIsClosed", "TestConnectionsAreCappedBeforeTheySayAnything", "TestATLSHandshakeThatStallsOrIsNoneEndsItsConnectionOnly"},
	"4 a second CONNECT, a PUBLISH too early":   {"TestPacketsThatBreakTheProtocolEndTheConnection", "TestWhatIsSentBehindARefusedConnectIsNotTaken"},
	"5 malformed headers and flags":             {"TestPacketsThatBreakTheProtocolEndTheConnection", "TestAPacketThatBreaksTheProtocolIsToldWhyInMQTT5"},
	"6 text that is none":                       {"TestAFirstPacketThatIsNoConnectEndsTheConnection", "TestPacketsThatBreakTheProtocolEndTheConnection", "TestAUserNameThatIsNoTextIsRefused"},
	"7 keep-alives":                             {"TestKeepAliveIsImposedBetweenBounds", "TestASilentClientEndsAfterItsKeepAlive"},
	"8 topic aliases":                           {"TestTopicAliasesAreBoundedAndNeverGiveAnEmptyTopic", "TestAnAliasIsJudgedAnewWhenItsDeviceMoves", "TestFleetsAreWalls"},
	"9 a will on another device's topic":        {"TestAWillOnAnotherDevicesTopicRefusesTheConnect", "TestFleetsAreWalls"},
	"10 client ids of others, ping-pong":        {"TestAClientIDBelongsToTheAccountThatUsesIt", "TestADeviceGetsItsOwnNameAsClientIDWhoeverUsesIt", "TestPingPongTakeoversAreSlowed", "TestAnAccountThatConnectsWithoutEndIsSlowed", "TestAStormOfTakeoversLeavesOneConnection"},
	"11 sessions without end":                   {"TestKeptSessionsAreBounded", "TestAnAccountHasABoundedNumberOfSessions", "TestAnExpiredSessionLeavesNothing"},
	"12 who never reads, who never acks":        {"TestASubscriberThatDoesNotReadHoldsUpNobody", "TestWhatWaitsIsBoundedForEachAndForAll", "TestWhatIsUnacknowledgedIsBoundedByTheClientsReceiveMaximum", "TestWhatIsRetainedIsBounded", "TestCommandsToAClientThatDoesNotAcknowledgeAreBounded", "TestAPeerThatDoesNotReadHoldsUpNobodyAndIsCutOff"},
	"13 QoS 2 again, after a reconnect":         {"TestQoS2RepeatedAfterAReconnectIsStoredOnce", "TestQoS2IsRecordedAfterTheCommitAndStoredOnce"},
	"14 filters":                                {"TestSubscriptionsBeyondTheCredentialAreRefusedOneByOne", "TestSubscriptionsAreAnsweredAndReachNothing", "TestAPacketFullOfFiltersEndsTheConnection", "TestASessionsSubscriptionsAreBounded"},
	"25 odd topics":                             {"TestTopicsAreTextAndNotPaths"},
	"26 a topic of another device":              {"TestADeviceCannotSpeakForAnotherNorCommandItself", "TestWhatAPayloadSaysOfOtherDevicesIsJudgedForEach", "TestFleetsAreWalls"},
	"27 an unknown device":                      {"TestAnUnknownDeviceIsRefusedWhereThatIsThePolicy"},
	"28 retained telemetry of last year":        {"TestRetainedTelemetryIsMarked", "TestRetainedMessagesAreNoSignOfLife", "TestARetainedStatusIsMarked"},
	"29 our own downlink comes back":            {"TestWhatWeSentIsNotTakenWhenItComesBack", "TestWhatWeSentIsNotTakenFromAnExternalBroker", "TestADeviceCannotSpeakForAnotherNorCommandItself"},
	"30 wrong passwords":                        {"TestGuessingIsThrottledBeforeAnythingIsChecked", "TestFailuresAreCountedByNameAndByAddress", "TestTheMemoryOfFailuresIsBounded", "TestAnAuthenticatorThatHangsHoldsUpLoginsAndNothingElse"},
	"31 a password of 1 MB":                     {"TestALoginThatFailsIsToldWhyAndNoMore"},
	"33, 34 credentials that end, or are ended": {"TestACredentialThatExpiresEndsItsConnection", "TestARevokedCredentialEndsItsConnectionsAndSessions", "TestACredentialThatIsRevokedWhileItIsCheckedDoesNotGetIn", "TestRevocationReachesAPeerThatDoesNotRead"},
}

func TestEveryRowOfHostileInputHasItsTests(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range declared.FindAllSubmatch(b, -1) {
			known[string(match[1])] = true
		}
	}
	for row, tests := range rows {
		for _, name := range tests {
			if !known[name] {
				t.Errorf("row %s: there is no %s", row, name)
			}
		}
	}
}
