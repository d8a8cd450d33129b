package membership.carbon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.hazelcast.config.Config;
import com.hazelcast.config.JoinConfig;
import com.hazelcast.config.TcpIpConfig;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.LifecycleService;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;
import membership.sidecar.FakeSidecar;
import org.apache.axis2.clustering.ClusteringFault;
import org.apache.axis2.description.Parameter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The scheme with Carbon's real wka scheme above it and a real Hazelcast Config; tests/e2e has the real servers. */
class SidecarMembershipSchemeTest {
    private static final String A = "10.244.0.11:4000";
    private static final String B = "10.244.0.12:4000";

    private final Config config = new Config();
    private final AtomicBoolean running = new AtomicBoolean(true);
    private FakeSidecar sidecar;

    @BeforeEach
    void start() throws IOException {
        sidecar = new FakeSidecar(A, B);
    }

    @AfterEach
    void stop() {
        running.set(false);
        sidecar.close();
    }

    @Test
    void setsTheListBeforeHazelcastStartsAndKeepsItCurrent() throws Exception {
        SidecarMembershipScheme scheme = scheme();
        scheme.init();
        assertFalse(join().getMulticastConfig().isEnabled());
        assertTrue(join().getTcpIpConfig().isEnabled());
        assertEquals(Arrays.asList(A, B), members());
        scheme.setPrimaryHazelcastInstance(instance());

        TcpIpConfig before = join().getTcpIpConfig();
        sidecar.show(A);
        until(() -> members().equals(Arrays.asList(A)));
        assertNotSame(before, join().getTcpIpConfig());
        assertEquals(Arrays.asList(A, B), before.getMembers(), "whoever reads the old one is not disturbed");
        assertEquals(before.getConnectionTimeoutSeconds(), join().getTcpIpConfig().getConnectionTimeoutSeconds());

        sidecar.fail(new FakeSidecar.Answer(200, "text/plain", ""));
        sidecar.show(A, B);
        until(() -> members().equals(Arrays.asList(A, B)));
    }

    @Test
    void followsTheListWhileHazelcastIsStillJoining() throws Exception {
        scheme().init();
        sidecar.show(B);
        until(() -> members().equals(Arrays.asList(B)));
    }

    @Test
    void endsItsThreadWithHazelcast() throws Exception {
        long before = threads();
        SidecarMembershipScheme scheme = scheme();
        scheme.init();
        scheme.setPrimaryHazelcastInstance(instance());
        assertEquals(before + 1, threads());
        running.set(false);
        sidecar.show(B);
        until(() -> threads() == before);
    }

    @Test
    void aShutGateIsAFaultWhereThatWasAskedFor() {
        sidecar.openGate(false);
        ClusteringFault fault = assertThrows(ClusteringFault.class,
                scheme("sidecarGateTimeout", "300ms", "sidecarOnTimeout", "fail")::init);
        assertTrue(fault.getMessage().contains("gate did not open"), fault.getMessage());
    }

    @Test
    void aWrongSettingIsAFaultThatNamesIt() {
        ClusteringFault fault = assertThrows(ClusteringFault.class,
                scheme("sidecarGateTimeout", "soon", "sidecarOnTimout", "fail")::init);
        assertTrue(fault.getMessage().contains("sidecarGateTimeout"), fault.getMessage());
        assertTrue(fault.getMessage().contains("sidecarOnTimout"), fault.getMessage());
    }

    private SidecarMembershipScheme scheme(String... settings) {
        Map<String, Parameter> parameters = new HashMap<>();
        parameters.put("domain", new Parameter("domain", "wso2.carbon.domain"));
        parameters.put("sidecarUrl", new Parameter("sidecarUrl", sidecar.url().toString()));
        for (int at = 0; at < settings.length; at += 2) {
            parameters.put(settings[at], new Parameter(settings[at], settings[at + 1]));
        }
        return new SidecarMembershipScheme(parameters, "wso2.carbon.domain", config, null, new ArrayList<>());
    }

    private HazelcastInstance instance() {
        LifecycleService lifecycle = proxy(LifecycleService.class, running::get);
        return proxy(HazelcastInstance.class, () -> lifecycle);
    }

    /** Answers every call with one thing: only one is ever made. */
    private static <T> T proxy(Class<T> type, java.util.function.Supplier<Object> answer) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
                (self, method, arguments) -> answer.get()));
    }

    private JoinConfig join() {
        return config.getNetworkConfig().getJoin();
    }

    private List<String> members() {
        return join().getTcpIpConfig().getMembers();
    }

    private static long threads() {
        return Thread.getAllStackTraces().keySet().stream().filter(t -> t.getName().equals("membership-sidecar"))
                .count();
    }

    private static void until(BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + 5_000_000_000L;
        while (!condition.getAsBoolean()) {
            assertTrue(System.nanoTime() < deadline, "not within 5 s");
            Thread.sleep(10);
        }
    }
}
