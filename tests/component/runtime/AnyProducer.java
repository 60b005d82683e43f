import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** An ordinary client: `BOOTSTRAP TOPIC NAME COUNT ENDING [option=value ...]` sends that many ones under that name. */
public final class AnyProducer {
    public static void main(String[] arguments) throws Exception {
        Properties options = new Properties();
        options.putAll(Map.of(
            "bootstrap.servers", arguments[0],
            "key.serializer", StringSerializer.class.getName(),
            "value.serializer", StringSerializer.class.getName(),
            "linger.ms", "50"));
        String ending = arguments[4];
        for (int option = 5; option < arguments.length; option++) {
            String[] pair = arguments[option].split("=", 2);
            options.put(pair[0], pair[1]);
        }
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(options)) {
            if (!ending.equals("plain")) {
                producer.initTransactions();
                producer.beginTransaction();
            }
            String value = "{\"name\": \"" + arguments[2] + "\", \"by\": 1}";
            for (int sent = 0; sent < Integer.parseInt(arguments[3]); sent++) {
                producer.send(new ProducerRecord<>(arguments[1], 0, "key", value));
            }
            producer.flush();
            if (ending.equals("commit")) {
                producer.commitTransaction();
            } else if (ending.equals("abort")) {
                producer.abortTransaction();
            }
        }
    }
}
