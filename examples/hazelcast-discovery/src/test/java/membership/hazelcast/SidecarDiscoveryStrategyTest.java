package membership.hazelcast;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.hazelcast.logging.ILogger;
import com.hazelcast.logging.Logger;
import com.hazelcast.spi.discovery.DiscoveryNode;
import com.hazelcast.spi.discovery.DiscoveryStrategyFactory;
import java.io.IOException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import membership.sidecar.FakeSidecar;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Runs against each Hazelcast of pom.xml; tests/e2e has real members and a real sidecar. */
class SidecarDiscoveryStrategyTest {
    private static final String A = "10.244.0.11:4000";
    private static final String B = "10.244.0.12:4001";

    private final ILogger logger = Logger.getLogger(SidecarDiscoveryStrategyTest.class);
    private FakeSidecar sidecar;

    @BeforeEach
    void start() throws IOException {
        sidecar = new FakeSidecar(A, B);
    }

    @AfterEach
    void stop() {
        sidecar.close();
    }

    @Test
    void runsOnTheHazelcastThatIsMeant() throws Exception {
        Object info = Class.forName("com.hazelcast.instance.BuildInfoProvider").getMethod("getBuildInfo").invoke(null);
        assertEquals(System.getProperty("expected.hazelcast"), info.getClass().getMethod("getVersion").invoke(info));
    }

    @Test
    void isFoundByHazelcast() {
        List<Class<?>> found = new ArrayList<>();
        ServiceLoader.load(DiscoveryStrategyFactory.class).forEach(each -> found.add(each.getClass()));
        assertTrue(found.contains(SidecarDiscoveryStrategyFactory.class), found.toString());
    }

    @Test
    void itsNodesAreTheMembersOfNow() throws Exception {
        SidecarDiscoveryStrategy strategy = strategy();
        strategy.start();
        assertEquals(Arrays.asList("10.244.0.11:4000", "10.244.0.12:4001"), nodes(strategy));
        sidecar.show(A);
        assertEquals(Arrays.asList("10.244.0.11:4000"), nodes(strategy));
        strategy.destroy();
    }

    @Test
    void theLastGoodListStaysOnEveryError() throws Exception {
        SidecarDiscoveryStrategy strategy = strategy();
        strategy.start();
        sidecar.fail(new FakeSidecar.Answer(200, "text/plain", ""));
        assertEquals(2, nodes(strategy).size());
        sidecar.fail(new FakeSidecar.Answer(200, "text/html", "<html>"));
        assertEquals(2, nodes(strategy).size());
        sidecar.fail(new FakeSidecar.Answer(503, "text/plain", "x"));
        assertEquals(2, nodes(strategy).size());
        sidecar.close();
        assertEquals(2, nodes(strategy).size());
    }

    @Test
    void aShutGateStopsTheStartWhereThatWasAskedFor() {
        sidecar.openGate(false);
        SidecarDiscoveryStrategy strategy = strategy("gate-timeout", "300ms", "on-timeout", "fail");
        IllegalStateException error = assertThrows(IllegalStateException.class, strategy::start);
        assertTrue(error.getMessage().contains("gate did not open"), error.getMessage());
    }

    @Test
    void aWrongPropertyIsNamed() {
        IllegalArgumentException error =
                assertThrows(IllegalArgumentException.class, () -> strategy("gate-timeout", "soon"));
        assertTrue(error.getMessage().contains("gate-timeout"), error.getMessage());
    }

    @SuppressWarnings("rawtypes")
    private SidecarDiscoveryStrategy strategy(String... settings) {
        Map<String, Comparable> properties = new HashMap<>();
        properties.put("sidecar-url", sidecar.url().toString());
        for (int at = 0; at < settings.length; at += 2) {
            properties.put(settings[at], settings[at + 1]);
        }
        return (SidecarDiscoveryStrategy) new SidecarDiscoveryStrategyFactory().newDiscoveryStrategy(null, logger,
                properties);
    }

    /** By reflection, as getPrivateAddress gives another class in each Hazelcast. */
    private static List<String> nodes(SidecarDiscoveryStrategy strategy) throws Exception {
        List<String> found = new ArrayList<>();
        for (DiscoveryNode node : strategy.discoverNodes()) {
            Method getter = DiscoveryNode.class.getMethod("getPrivateAddress");
            Object address = getter.invoke(node);
            Object host = address.getClass().getMethod("getHost").invoke(address);
            found.add(host + ":" + address.getClass().getMethod("getPort").invoke(address));
        }
        return found;
    }
}
