import { plugin } from "../../plugins/s3/index.ts";
import { testOnServers } from "./object-storage.ts";

testOnServers(plugin);
