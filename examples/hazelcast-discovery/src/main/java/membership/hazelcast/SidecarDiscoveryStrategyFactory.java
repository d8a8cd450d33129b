package membership.hazelcast;

import com.hazelcast.config.properties.PropertyDefinition;
import com.hazelcast.config.properties.PropertyTypeConverter;
import com.hazelcast.config.properties.SimplePropertyDefinition;
import com.hazelcast.logging.ILogger;
import com.hazelcast.spi.discovery.DiscoveryNode;
import com.hazelcast.spi.discovery.DiscoveryStrategy;
import com.hazelcast.spi.discovery.DiscoveryStrategyFactory;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** Found by Hazelcast through META-INF/services; says which properties there are. */
public final class SidecarDiscoveryStrategyFactory implements DiscoveryStrategyFactory {
    static final String URL = "sidecar-url";
    static final String GATE_TIMEOUT = "gate-timeout";
    static final String ON_TIMEOUT = "on-timeout";

    private static final List<PropertyDefinition> PROPERTIES = Collections.unmodifiableList(Arrays.asList(
            optional(URL), optional(GATE_TIMEOUT), optional(ON_TIMEOUT)));

    @Override
    public Class<? extends DiscoveryStrategy> getDiscoveryStrategyType() {
        return SidecarDiscoveryStrategy.class;
    }

    @Override
    @SuppressWarnings("rawtypes")
    public DiscoveryStrategy newDiscoveryStrategy(DiscoveryNode discoveryNode, ILogger logger,
            Map<String, Comparable> properties) {
        return new SidecarDiscoveryStrategy(logger, properties);
    }

    @Override
    public Collection<PropertyDefinition> getConfigurationProperties() {
        return PROPERTIES;
    }

    private static PropertyDefinition optional(String key) {
        return new SimplePropertyDefinition(key, true, PropertyTypeConverter.STRING);
    }
}
