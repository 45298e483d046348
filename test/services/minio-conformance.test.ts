import { plugin } from "../../plugins/minio/index.ts";
import { testOnServers } from "./object-storage.ts";

testOnServers(plugin);
