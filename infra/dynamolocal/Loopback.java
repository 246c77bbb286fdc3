import java.io.File;
import java.lang.reflect.Field;
import java.util.Map;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.AbstractLocalDynamoDBServerHandler;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBRequestHandler;
import software.amazon.dynamodb.services.local.shared.access.AmazonDynamoDBLocal;

/**
 * Runs DynamoDB Local on 127.0.0.1 only, in memory, until standard input ends. Its own main listens on every interface
 * and has no option for it, so the host is set on its Jetty connector before the start.
 *
 * The arguments are the port, 0 for a free one, and the folder for temporary files, which is removed at the end: each start
 * leaves a copy of a native library there. The address is printed once it listens. For each line on standard input all
 * streams end their shard and begin another, as they would after four hours, and "rolled" is printed.
 */
class Loopback {
    public static void main(String[] args) throws Exception {
        File temporary = new File(args[1]);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> remove(temporary))); // for an end by a signal
        DynamoDBProxyServer dynamo = ServerRunner.createServerFromCommandLineArgs(
            new String[] {"-inMemory", "-sharedDb", "-disableTelemetry"});
        Server jetty = (Server) field(DynamoDBProxyServer.class, "server", dynamo);
        if (jetty.getConnectors().length != 1) {
            throw new IllegalStateException("expected one connector, found " + jetty.getConnectors().length);
        }
        ServerConnector connector = (ServerConnector) jetty.getConnectors()[0];
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.parseInt(args[0]));
        dynamo.start();
        System.out.println("listening on " + connector.getHost() + ":" + connector.getLocalPort());
        for (int c; (c = System.in.read()) >= 0; ) {
            if (c == '\n') {
                roll(dynamo);
                System.out.println("rolled");
            }
        }
        remove(temporary);
        Runtime.getRuntime().halt(0);
    }

    private static void remove(File folder) {
        File[] files = folder.listFiles();
        for (File file : files == null ? new File[0] : files) {
            file.delete();
        }
        folder.delete();
    }

    private static void roll(DynamoDBProxyServer dynamo) throws Exception {
        Object server = field(DynamoDBProxyServer.class, "serverHandler", dynamo);
        Object requests = field(AbstractLocalDynamoDBServerHandler.class, "primaryHandler", server);
        Map<?, ?> databases = (Map<?, ?>) field(LocalDynamoDBRequestHandler.class, "dbRequestHandlers", requests);
        for (Object database : databases.values()) {
            ((AmazonDynamoDBLocal) database).triggerShardRollovers();
        }
    }

    private static Object field(Class<?> of, String name, Object object) throws Exception {
        Field field = of.getDeclaredField(name);
        field.setAccessible(true);
        return field.get(object);
    }
}
