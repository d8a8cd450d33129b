package membership.sidecar;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SidecarSettingsTest {
    private static final SidecarSettings.Keys KEYS = new SidecarSettings.Keys("my", "myUrl", "myTime", "myOnTime");

    @Test
    void hasDefaults() {
        SidecarSettings settings = SidecarSettings.parse(Collections.singletonMap("domain", "x"), KEYS);
        assertEquals(URI.create("http://127.0.0.1:4080"), settings.url());
        assertEquals(Duration.ofSeconds(180), settings.gateTimeout());
        assertFalse(settings.failOnTimeout());
    }

    @Test
    void readsWhatIsGiven() {
        Map<String, String> given = new HashMap<>();
        given.put("myUrl", " http://localhost:14080/ ");
        given.put("myTime", "1500ms");
        given.put("myOnTime", "fail");
        SidecarSettings settings = SidecarSettings.parse(given, KEYS);
        assertEquals(14080, settings.url().getPort());
        assertEquals(Duration.ofMillis(1500), settings.gateTimeout());
        assertTrue(settings.failOnTimeout());
    }

    @ParameterizedTest
    @CsvSource({"90, 90000", "90s, 90000", "2m, 120000", "0, 0", "250ms, 250"})
    void readsTimes(String text, long millis) {
        Map<String, String> given = Collections.singletonMap("myTime", text);
        assertEquals(Duration.ofMillis(millis), SidecarSettings.parse(given, KEYS).gateTimeout());
    }

    @ParameterizedTest
    @CsvSource({"myUrl, ''", "myUrl, https://127.0.0.1:4080", "myUrl, 127.0.0.1:4080", "myUrl, http://127.0.0.1:70000",
        "myUrl, http://127.0.0.1:0", "myUrl, http://127.0.0.1:4080/members", "myUrl, http://127.0.0.1:4080?format=json",
        "myUrl, http://a b", "myUrl, http://", "myUrl, http://127.0.0.1:x", "myUrl, http://me@127.0.0.1:4080",
        "myTime, ''", "myTime, soon", "myTime, -1s", "myTime, 2h", "myTime, 61m", "myTime, 1.5s", "myTime, 99999999999",
        "myOnTime, ''", "myOnTime, stop", "myOnTime, Start", "myTimeout, 5s"})
    void namesTheKeyThatIsWrong(String key, String value) {
        Map<String, String> given = Collections.singletonMap(key, value);
        IllegalArgumentException error =
                assertThrows(IllegalArgumentException.class, () -> SidecarSettings.parse(given, KEYS));
        assertTrue(error.getMessage().startsWith(key), error.getMessage());
    }

    @Test
    void namesAllKeysThatAreWrongAtOnce() {
        Map<String, String> given = new HashMap<>();
        given.put("myUrl", "x");
        given.put("myTime", "x");
        given.put("myOnTime", "x");
        given.put("myMistake", "x");
        String text = assertThrows(IllegalArgumentException.class, () -> SidecarSettings.parse(given, KEYS))
                .getMessage();
        for (String key : given.keySet()) {
            assertTrue(text.contains(key), text);
        }
    }
}
