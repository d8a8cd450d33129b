package membership.sidecar;

/** Where these classes say what they do: Carbon and Hazelcast each have a log of their own. */
public interface Log {
    void info(String text);

    void warn(String text);
}
