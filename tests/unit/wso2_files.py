"""Files in the shape of real deployments, written for these tests: what a patch has to leave alone is in them."""

AXIS2_KERNEL_4_4 = """\
<?xml version="1.0" encoding="ISO-8859-1"?>
<!--
  ~ Server-wide Axis2 configuration, <clustering enable="true"> in a comment is none.
  -->
<axisconfig name="AxisJava2.0">

    <parameter name="hotdeployment">${hotdeployment}</parameter>
    <parameter name="userAgent" locked="true">
        WSO2 Carbon Server
    </parameter>
    <!--<parameter name="localMemberHost">10.9.9.9</parameter>-->
    <transportReceiver name="http" class="org.wso2.carbon.core.transports.http.HttpTransportListener">
        <parameter name="port">9763</parameter>
        <parameter name="domain">not the cluster's</parameter>
    </transportReceiver>

    <!-- Clustering: set @enable to "true" -->
    <clustering class="org.wso2.carbon.core.clustering.hazelcast.HazelcastClusteringAgent"
                enable='false'>

        <!--
           This parameter indicates whether the cluster has to be automatically initalized
        -->
        <parameter name="AvoidInitiation">true</parameter>

        <!--
           The membership scheme used in this setup: multicast, wka
        -->
        <parameter name="membershipScheme">multicast</parameter>   <!-- was: wka -->

        <parameter name="domain">wso2.carbon.domain</parameter>
        <parameter name="mcastPort">45564</parameter>
        <parameter name="localMemberHost">127.0.0.1</parameter>
        <parameter name="localMemberPort">4000</parameter>

        <parameter name="properties">
            <property name="backendServerURL" value="https://${hostName}:${httpsPort}/services/"/>
            <property name="subDomain" value="worker"/>
        </parameter>

        <!--
           The list of static or well-known members.
        -->
        <members>
            <member>
                <hostName>127.0.0.1</hostName>
                <port>4000</port>
            </member>
        </members>

        <groupManagement enable="false">
            <applicationDomain name="wso2.as.domain"
                               description="AS &lt;group&gt; &#169;"
                               agent="org.wso2.carbon.core.clustering.hazelcast.HazelcastGroupManagementAgent"/>
        </groupManagement>
    </clustering>

</axisconfig>
"""
"""The kernel's own, cut short: comments above each parameter, and names that occur elsewhere too."""

AXIS2_EI = """\
<axisconfig name="AxisJava2.0">
\t<clustering class="org.wso2.carbon.core.clustering.hazelcast.HazelcastClusteringAgent" enable="true">
\t\t<parameter name="AvoidInitiation">true</parameter>
\t\t<parameter name="membershipScheme">kubernetes</parameter>
\t\t<parameter name="domain">wso2.carbon.domain</parameter>
\t\t<parameter name="localMemberHost"></parameter>
\t\t<parameter name="localMemberPort">4100</parameter>
\t\t<!-- the chart's scheme -->
\t\t<parameter name="membershipSchemeClassName">org.example.KubernetesMembershipScheme</parameter>
\t\t<parameter name="KUBERNETES_NAMESPACE">wso2</parameter>
\t\t<parameter name="KUBERNETES_SERVICES">wso2ei-integrator-service</parameter>
\t\t<parameter name="KUBERNETES_MASTER_SKIP_SSL_VERIFICATION">true</parameter>
\t\t<parameter name="USE_DNS">false</parameter>
\t</clustering>
</axisconfig>
"""
"""As in the chart of EI 6.6: tabs, the built-in scheme's parameters, an empty localMemberHost, no <members>."""

TOML_IS_5_11 = """\
[server]
hostname = "is.wso2.com"
node_ip = "$env{NODE_IP}"
base_path = "https://$ref{server.hostname}:${carbon.management.port}"

[super_admin]
username = "admin"
password = "$secret{admin_password}"   # cipher tool
create_admin_account = true

[database.identity_db]
url = 'jdbc:mysql://db:3306/IDENTITY_DB?useSSL=false&amp;a=\\b'
password = "$secret{db_password}"
[database.identity_db.pool_options]
maxActive = 80
testOnBorrow = true

[[event_handler]]   # clustering = "no"
name = "userPostSelfRegistration"
subscriptions = ["POST_ADD_USER", "POST_LOCK_ACCOUNT"]

[[event_handler]]
name = "other"

[clustering]
membership_scheme = "kubernetes"
domain = "wso2.is.domain"
properties.membershipSchemeClassName = "org.wso2.carbon.membership.scheme.kubernetes.KubernetesMembershipScheme"
properties.KUBERNETES_NAMESPACE = "wso2"
properties.KUBERNETES_SERVICES = "wso2is-service"
properties.KUBERNETES_MASTER_SKIP_SSL_VERIFICATION = "true"
properties.USE_DNS = "false"

# Timings of Hazelcast
[hazelcast]
"hazelcast.max.no.heartbeat.seconds" = "60"

[user_store]
type = "read_write_ldap_unique_id"
connection_url = "ldap://localhost:${Ports.EmbeddedLDAP.LDAPServerPort}"

[[custom]]
name = "last"
pi = 3.14
when = 1979-05-27 07:32:00
note = \"\"\"
[clustering]
members = ["in a text"] \\
\"\"\"
"""
"""As in the chart of IS 5.11 with the old scheme's jar."""

TOML_IS_7_1 = """\
[server]
hostname = "$env{HOST_NAME}"
node_ip = "$env{NODE_IP}"

[clustering]
  membership_scheme = "wka"
  local_member_port = 4001
  local_member_host = "$env{NODE_IP}" # downward API
  domain = 'wso2.is.domain'
  members = [
    # filled at boot
    "127.0.0.1:4001",  # placeholder
  ]

[keystore.primary]
password = "$secret{keystore}"

[oauth]
grant_type.token_exchange.enable = true
"""
"""As in the chart of IS 7.1, with indentation and a list over several lines."""
